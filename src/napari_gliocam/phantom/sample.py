"""The sample cases: a whole procedural brain on a BraTS grid, with truth."""

from __future__ import annotations

from typing import Literal

import numpy as np

from napari_gliocam.case import Case, ExpertLabels, Grid, Modality
from napari_gliocam.errors import GliocamError
from napari_gliocam.phantom.anatomy import procedural_anatomy
from napari_gliocam.phantom.fields import Fields, SliceGrid
from napari_gliocam.phantom.scene import SceneSettings, render_scene
from napari_gliocam.phantom.tumour import Lesion

PhantomKind = Literal["enhancing", "low-grade", "healthy"]
PHANTOM_KINDS: tuple[PhantomKind, ...] = ("enhancing", "low-grade", "healthy")

#: Rows and columns that hold the brain; the rest of a slice is air.
_BRAIN_MM = (192, 160)


def make_phantom(
    kind: PhantomKind = "enhancing",
    seed: int = 3,
    *,
    shape: tuple[int, int, int] = (155, 240, 240),
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Case:
    """A synthetic case with its truth as expert labels (imports torch).

    Parameters
    ----------
    kind : {"enhancing", "low-grade", "healthy"}
        A glioblastoma with an enhancing rim, a glioma without enhancement, no tumour.
    seed : int
        The same seed gives the same voxels; 3 shows textbook findings.
    shape : (S, P, L)
        Voxels.
    spacing : (S, P, L)
        mm.

    Returns
    -------
    Case
        T1, T1ce, T2 and FLAIR as int16 on a grid like that of BraTS (file axes L, P, S).
    """
    if kind not in PHANTOM_KINDS:
        raise GliocamError(
            f'There is no phantom "{kind}"; choose one of {", ".join(PHANTOM_KINDS)}.'
        )
    depth, height, width = shape
    rng = np.random.default_rng([seed, PHANTOM_KINDS.index(kind)])
    inner = (
        min(height, round(_BRAIN_MM[0] / spacing[1])),
        min(width, round(_BRAIN_MM[1] / spacing[2])),
    )
    z = (np.arange(depth) - (depth - 1) / 2) * spacing[0]
    fields = Fields(SliceGrid(z, inner, (spacing[1], spacing[2])), rng)
    lesions: tuple[Lesion, ...] = ()
    if kind != "healthy":
        side = 1.0 if rng.random() < 0.5 else -1.0
        centre = (rng.uniform(12, 30), rng.uniform(-25, 30), side * rng.uniform(28, 36))
        radius = rng.uniform(21, 26)
        lesions = (Lesion("both", centre, radius, enhancing=kind == "enhancing"),)
    scene = render_scene(
        fields,
        procedural_anatomy(seed),
        lesions,
        SceneSettings(deform=0.4, distract=0.0, acquire=0.4),
    )
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    box = (slice(None), slice(top, top + inner[0]), slice(left, left + inner[1]))

    volumes = {}
    for modality, image in zip(
        (Modality.T1, Modality.T1CE, Modality.T2, Modality.FLAIR), scene.image, strict=True
    ):
        volume = np.zeros(shape, dtype=np.int16)
        # Brain is never exactly 0: that value means air.
        scaled = np.clip(image.numpy() * 1000.0, 1, 32767) * scene.brain.numpy()
        volume[box] = np.round(scaled)
        volumes[modality] = volume
    truth = np.zeros(shape, dtype=np.uint8)
    truth[box] = scene.labels.numpy()
    affine = np.array(
        [
            [-spacing[2], 0, 0, 0],
            [0, -spacing[1], 0, (height - 1) * spacing[1]],
            [0, 0, spacing[0], 0],
            [0, 0, 0, 1.0],
        ]
    )
    return Case(
        name=f"phantom-{kind}-{seed}",
        volumes=volumes,
        grid=Grid(affine, (width, height, depth)),
        expert=ExpertLabels(truth, scheme="gliocam"),
    )

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


def brain_box(
    shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> tuple[slice, slice, slice]:
    """Return the part of a volume (S, P, L) that is drawn, centred; the rest is air."""
    spans = [slice(0, shape[0])]
    for count, mm, brain_mm in zip(shape[1:], spacing[1:], _BRAIN_MM, strict=True):
        size = min(count, round(brain_mm / mm))
        start = (count - size) // 2
        spans.append(slice(start, start + size))
    return spans[0], spans[1], spans[2]


def phantom_grid(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Grid:
    """Return a grid like that of BraTS, file axes L, P, S, from shape and mm along S, P, L."""
    depth, height, width = shape
    affine = np.array(
        [
            [-spacing[2], 0, 0, 0],
            [0, -spacing[1], 0, (height - 1) * spacing[1]],
            [0, 0, spacing[0], 0],
            [0, 0, 0, 1.0],
        ]
    )
    return Grid(affine, (width, height, depth))


def make_phantom(
    kind: PhantomKind = "enhancing",
    seed: int = 11,
    *,
    shape: tuple[int, int, int] = (155, 240, 240),
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Case:
    """Draw a synthetic case with its truth as expert labels (imports torch).

    Parameters
    ----------
    kind : {"enhancing", "low-grade", "healthy"}
        A glioblastoma with an enhancing rim, a glioma without enhancement, no tumour.
    seed : int
        The same seed gives the same voxels; 11 shows a core in its edema.
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
    box = brain_box(shape, spacing)
    inner = (box[1].stop - box[1].start, box[2].stop - box[2].start)
    rng = np.random.default_rng([seed, PHANTOM_KINDS.index(kind)])
    z = (np.arange(shape[0]) - (shape[0] - 1) / 2) * spacing[0]
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
    volumes = {}
    for modality, image in zip(
        (Modality.T1, Modality.T1CE, Modality.T2, Modality.FLAIR), scene.image, strict=True
    ):
        volume = np.zeros(shape, dtype=np.int16)
        # Brain is never exactly 0: that value means air.
        scaled = np.clip(image.cpu().numpy() * 1000.0, 1, 32767) * scene.brain.cpu().numpy()
        volume[box] = np.round(scaled)
        volumes[modality] = volume
    truth = np.zeros(shape, dtype=np.uint8)
    truth[box] = scene.labels.cpu().numpy()
    return Case(
        name=f"phantom-{kind}-{seed}",
        volumes=volumes,
        grid=phantom_grid(shape, spacing),
        expert=ExpertLabels(truth, scheme="gliocam"),
    )

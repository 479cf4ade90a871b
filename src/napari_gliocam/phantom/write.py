"""Synthetic cases as files: folders like those of BraTS, with the truth beside the images."""

# mypy: untyped-calls-exclude="nibabel"

from __future__ import annotations

import gzip
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Grid, Modality
from napari_gliocam.errors import GliocamError, SaveError
from napari_gliocam.io.atomic import write_files
from napari_gliocam.io.sidecar import PHANTOM
from napari_gliocam.phantom.anatomy import Anatomy, procedural_anatomy
from napari_gliocam.phantom.fields import Fields, SliceGrid
from napari_gliocam.phantom.sample import brain_box, phantom_grid
from napari_gliocam.phantom.scene import Scene, SceneSettings, draw_lesions, render_scene
from napari_gliocam.phantom.sources import find_anatomies, load_anatomy
from napari_gliocam.progress import Progress, finish
from napari_gliocam.wording import no_such

WrittenKind = Literal["mixed", "enhancing", "low-grade", "healthy"]
WRITTEN_KINDS: tuple[WrittenKind, ...] = ("mixed", "enhancing", "low-grade", "healthy")

#: The channels of a scene, in their order.
CHANNELS = (Modality.T1, Modality.T1CE, Modality.T2, Modality.FLAIR)
#: How many different procedural brains there are; lesions and contrast vary beyond them.
PROCEDURAL_BRAINS = 12


@dataclass(frozen=True)
class ValueType:
    """How a scanner's software stored a case.

    Parameters
    ----------
    dtype : str
        NumPy's name of the type of the stored values.
    top : float
        The value of the brightest voxels; what is brighter still is cut off there.
    """

    dtype: str
    top: float

    def store(self, image: NDArray[np.float32], brain: NDArray[np.bool_]) -> NDArray[Any]:
        """Bring an image of about [0, 2] to these values; air is 0 and brain never is."""
        if not brain.any():
            return np.zeros(image.shape, dtype=self.dtype)
        scaled = image * np.float32(self.top / max(float(np.percentile(image[brain], 99.9)), 1e-6))
        if np.issubdtype(np.dtype(self.dtype), np.integer):
            scaled = np.round(scaled).clip(1, self.top)
        else:
            scaled = scaled.clip(1e-4 * self.top, self.top)
        return (scaled * brain).astype(self.dtype)


@dataclass(frozen=True)
class PhantomRequest:
    """Request for synthetic cases as files.

    Parameters
    ----------
    out : Path
        Each case gets a folder in it.
    cases : int
        Number of cases.
    seed : int
        With a case's number it decides all of the case.
    anatomy : Path or None
        A folder as `napari_gliocam.phantom.sources` reads it; procedural brains by default.
    kind : {"mixed", "enhancing", "low-grade", "healthy"}
        Mixed: also core alone, edema alone, and several lesions.
    missing : float
        Probability that T1, T1ce or T2, each on its own, is not there.
    overwrite : bool
        Whether files that are there already may be replaced.
    shape, spacing : (S, P, L)
        Voxels; mm.
    settings : SceneSettings, optional
        How varied the cases are.

    Raises
    ------
    GliocamError
        A number out of its range, or no such kind.
    """

    out: Path
    cases: int
    seed: int = 0
    anatomy: Path | None = None
    kind: WrittenKind = "mixed"
    missing: float = 0.0
    overwrite: bool = False
    shape: tuple[int, int, int] = (155, 240, 240)
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    settings: SceneSettings | None = None

    def __post_init__(self) -> None:
        if self.cases < 1:
            raise GliocamError(f"{self.cases} cases cannot be drawn; ask for 1 or more.")
        if self.seed < 0:
            raise GliocamError(f"The seed {self.seed} is negative; choose 0 or more.")
        if self.kind not in WRITTEN_KINDS:
            raise GliocamError(no_such(self.kind, WRITTEN_KINDS, "phantom"))
        if not 0 <= self.missing <= 1:
            raise GliocamError(
                f"The probability of a missing modality, {self.missing:g}, is not in 0 to 1; "
                "choose one that is."
            )

    def folder_of(self, number: int) -> Path:
        """Return the folder of a case; its name is the case's."""
        return self.out / f"phantom_{self.seed}_{number:04d}"

    def classes_of(self, number: int) -> str:
        """Return the classes that a case shows, a key of `SceneSettings.kinds`."""
        if self.kind == "mixed":
            return kind_in_turn((self.settings or SceneSettings()).kinds, number)
        return "none" if self.kind == "healthy" else "both"

    def files_of(self, number: int) -> dict[str, Path]:
        """Return every file that a case may get, by its content: a modality, or ``seg``."""
        folder = self.folder_of(number)
        shown = [*(modality.value for modality in CHANNELS), "seg"]
        return {name: folder / f"{folder.name}_{name}.nii.gz" for name in shown}

    def check(self) -> None:
        """Check before anything is drawn that the files can be written at the end.

        Raises
        ------
        SaveError
            A file is there already, or the folder is none.
        """
        if self.out.exists() and not self.out.is_dir():
            raise SaveError(f"{self.out} is a file, not a folder; choose another --out.")
        if self.overwrite:
            return
        for number in range(self.cases):
            for path in self.files_of(number).values():
                if path.exists():
                    raise SaveError(
                        f"{path} exists; choose another --out, or replace it (--overwrite)."
                    )


def write_phantoms(out: str | Path, cases: int, seed: int = 0, **wishes: Any) -> list[Path]:
    """Write synthetic cases with their truth as BraTS folders.

    `writing_phantoms` is the same with progress.

    Parameters
    ----------
    out : str or Path
        Each case gets ``phantom_SEED_NUMBER/phantom_SEED_NUMBER_{t1,t1ce,t2,flair,seg}.nii.gz``.
    cases : int
        Number of cases.
    seed : int
        The same seed and number give the same voxels, however many cases are asked for.
    **wishes
        The other fields of `PhantomRequest`.

    Returns
    -------
    list of Path
        The folders of the cases.

    Raises
    ------
    GliocamError
        A wish cannot be met, there is no anatomy, a file exists or cannot be written.
    """
    return finish(writing_phantoms(PhantomRequest(Path(out).expanduser(), cases, seed, **wishes)))


def writing_phantoms(request: PhantomRequest) -> Generator[Progress, None, list[Path]]:
    """Write synthetic cases as `write_phantoms`; yield before each is drawn and saved."""
    request.check()
    sources = None if request.anatomy is None else find_anatomies(request.anatomy)
    load = lru_cache(maxsize=3)(load_anatomy)
    folders = []
    for number in range(request.cases):
        yield Progress(number, request.cases, "drawing")
        rng = np.random.default_rng([request.seed, number, 23])
        if sources is None:
            brain = procedural_anatomy(int(rng.integers(PROCEDURAL_BRAINS)))
        else:
            # As many cases from label maps as from real contrasts, whichever files are more.
            kind = sources[sorted(sources)[int(rng.integers(len(sources)))]]
            brain = load(kind[int(rng.integers(len(kind)))])
        contents = _draw_case(request, number, brain, rng)
        yield Progress(number, request.cases, "saving")
        write_files(contents, overwrite=request.overwrite)
        for path in request.files_of(number).values():
            if path not in contents:  # of an earlier run; it would be taken for this case's
                with suppress(OSError):
                    path.unlink(missing_ok=True)
        folders.append(request.folder_of(number))
        yield Progress(number + 1, request.cases, "saved")
    return folders


def brats_labels(scene: Scene) -> NDArray[np.uint8]:
    """Return labels as BraTS until 2021: 1 other core, 2 edema, 4 enhancing core."""
    labels = scene.labels.cpu().numpy().copy()
    labels[scene.enhancing.cpu().numpy()] = 4
    return labels


def kind_in_turn(weights: Mapping[str, float], number: int) -> str:
    """Return the kind of a case, so that a few cases show several kinds already.

    Parameters
    ----------
    weights : mapping of kind to weight
        How often each kind comes in the long run.
    number : int
        Of the case, from 0.

    Returns
    -------
    str
        Each kind in turn: the one that is furthest behind its weight.
    """
    share = {kind: weight / sum(weights.values()) for kind, weight in weights.items()}
    behind = dict.fromkeys(share, 0.0)
    for _ in range(number + 1):
        behind = {kind: behind[kind] + share[kind] for kind in share}
        kind = max(behind, key=lambda name: behind[name])
        behind[kind] -= 1
    return kind


def _draw_case(
    request: PhantomRequest, number: int, brain: Anatomy, rng: np.random.Generator
) -> dict[Path, bytes]:
    box = brain_box(request.shape, request.spacing)
    rows, columns = (s.stop - s.start for s in box[1:])
    z = (np.arange(request.shape[0]) - (request.shape[0] - 1) / 2) * request.spacing[0]
    pixel = (request.spacing[1], request.spacing[2])
    fields = Fields(SliceGrid(z, (rows, columns), pixel), rng)
    settings = request.settings or SceneSettings()
    settings = replace(settings, kinds={request.classes_of(number): 1.0})
    lesions = draw_lesions(fields, brain, settings)
    if request.kind in ("enhancing", "low-grade"):
        enhancing = request.kind == "enhancing"
        lesions = tuple(replace(x, enhancing=enhancing, left_out=None) for x in lesions)
    values = _draw_values(fields)
    absent = {m for m in CHANNELS if fields.chance(request.missing) and m is not Modality.FLAIR}
    scene = render_scene(fields, brain, lesions, settings)

    grid = phantom_grid(request.shape, request.spacing)
    files = request.files_of(number)
    inside = scene.brain.cpu().numpy()
    contents = {}
    for modality, image in zip(CHANNELS, scene.image.cpu().numpy(), strict=True):
        if modality in absent:
            continue
        volume = np.zeros(request.shape, dtype=values.dtype)
        volume[box] = values.store(image, inside)
        contents[files[modality.value]] = _nifti(volume, grid, f"seed {request.seed}, {number}")
    truth = np.zeros(request.shape, dtype=np.uint8)
    truth[box] = brats_labels(scene)
    contents[files["seg"]] = _nifti(truth, grid, "truth")
    return contents


def _draw_values(fields: Fields) -> ValueType:
    draw = fields.uniform()
    if draw < 0.2:
        return ValueType("uint8", 255)
    if draw < 0.7:
        return ValueType("int16", round(fields.log_uniform(300, 4095)))
    if draw < 0.9:
        return ValueType("int16", 32767)
    return ValueType("float32", fields.log_uniform(1, 2000))


def _nifti(volume: NDArray[Any], grid: Grid, words: str) -> bytes:
    image = nib.Nifti1Image(grid.to_file(volume), grid.affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = f"{PHANTOM}, {words}".encode()[:79]
    raw: bytes = image.to_bytes()
    return gzip.compress(raw, 1, mtime=0)  # the same voxels give the same bytes

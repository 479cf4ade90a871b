"""Slices with the masks that a segmentation network learns from.

A mask is read only if this program computed it: its header, or the json saved with it, says so.
An expert's outline is refused, and the expert labels of a case are never opened.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import file_digest, sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Case
from napari_gliocam.errors import CaseError, GliocamError, TrainingError
from napari_gliocam.io.find import CaseFiles, find_cases
from napari_gliocam.io.naming import safe_name
from napari_gliocam.io.read import read_case, read_labels
from napari_gliocam.io.results import find_result
from napari_gliocam.io.sidecar import written_here
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.segmenters.design import SIDE_MULTIPLE, SegmenterDesign
from napari_gliocam.nets.segmenters.neighbours import with_neighbours
from napari_gliocam.progress import Progress
from napari_gliocam.segmentation import check_modalities
from napari_gliocam.slices import cut_slices
from napari_gliocam.targets import CORE, EDEMA, TARGETS, mask_of
from napari_gliocam.train.data.packed import SUFFIX, is_whole, open_slices, pack_slices
from napari_gliocam.train.data.slice_set import SliceSet
from napari_gliocam.train.labels.tags import Tag, file_slices, image_labels

#: Changes when prepared slices of before can no longer be used.
_FORMAT = 1


@dataclass(frozen=True, eq=False)
class MaskSet:
    """The prepared slices of all cases that have a mask.

    Parameters
    ----------
    files : mapping of str to Path
        Packed slices of each case, by its name.
    masks : {2, 4}
        Channels that are masks: one or two masks of core and edema a case.
    sources : mapping of str to Path
        A file of each case, to read it again.
    problems : mapping of str to str
        A sentence for each case that takes no part.
    """

    files: Mapping[str, Path]
    masks: int
    sources: Mapping[str, Path]
    problems: Mapping[str, str]

    def slices(self, synthetic: Sequence[Path] = ()) -> SliceSet:
        """Return slices with neighbours and masks as channels, for `MaskDataset`.

        Parameters
        ----------
        synthetic : sequence of Path
            Packed slices of synthetic cases to learn from besides.
        """
        return open_slices(
            [*self.files.values(), *synthetic],
            [*range(len(self.files)), *(-1 - n for n in range(len(synthetic)))],
            side=SIDE_MULTIPLE,
            names=tuple(self.files),
        )


@dataclass(frozen=True)
class MaskPreparation:
    """How slices with masks are made.

    Parameters
    ----------
    info : BundleInfo
        Modalities, pixel and normalisation: those of the bundle whose maps made the masks.
    design : SegmenterDesign
        Neighbours of a slice.
    min_pixels : int
        Pixels at which a mask shows a class, where a slice has no label.
    """

    info: BundleInfo
    design: SegmenterDesign
    min_pixels: int = 4

    def digest(self) -> str:
        """Return a text that differs for every other way of making slices."""
        parts = (
            _FORMAT,
            self.info.modalities,
            self.info.pixel_mm,
            self.info.normalisation,
            self.design.neighbours,
            self.design.neighbour_mm,
            self.min_pixels,
        )
        return sha256(repr(parts).encode()).hexdigest()


def read_mask(folder: Path, case: Case) -> NDArray[np.uint8]:
    """Read the mask of a case that this program computed.

    Parameters
    ----------
    folder : Path
        Folder of masks, as in `napari_gliocam.io.results.find_result`.
    case : Case
        The case.

    Returns
    -------
    ndarray of uint8, (S, P, L)
        0 background, 1 core, 2 edema, 3 both.

    Raises
    ------
    CaseError
        If there is none, it lies on another grid, or holds unknown values.
    TrainingError
        If it may be an expert's outline.
    """
    path = find_result(folder, case.name)
    if not written_here(path):  # before its voxels are read
        raise TrainingError(
            f"{path} was not computed by this program, so it may be an expert's outline, and none "
            "is ever learned from; make masks with pseudo-label or segment."
        )
    read = read_labels(path, case.grid, scheme="gliocam", case_name=case.name)
    return read.expert.labels


def gathering_masks(
    cases: Path,
    masks: Path,
    second: Path | None,
    cache: Path,
    how: MaskPreparation,
    tags: Mapping[str, Mapping[int, Tag]] | None = None,
) -> Generator[Progress, None, MaskSet]:
    """Cut the slices of every case that has a mask, and pack them with it.

    Parameters
    ----------
    cases, masks : Path
        Folder of cases, and folder of their masks.
    second : Path or None
        Folder of second masks.
    cache : Path
        Folder of the packed slices; whole ones there are not made again.
    how : MaskPreparation
        How slices are made.
    tags : mapping of str to mapping of int to Tag, optional
        Slice labels by case and number of the slice in the file.  A skipped slice takes no part;
        a slice without label has that of its mask.

    Yields
    ------
    Progress
        Cases prepared.

    Returns
    -------
    MaskSet

    Raises
    ------
    GliocamError
        If no case can be used, or a mask may be an expert's outline.
    """
    folders = (masks,) if second is None else (masks, second)
    for folder in folders:
        if not folder.is_dir():
            raise TrainingError(
                f'There is no folder "{folder}" of masks; make it with pseudo-label.'
            )
    found = {files.name: files for files in find_cases(cases)}
    packed: dict[str, Path] = {}
    problems: dict[str, str] = {}
    for done, (name, files) in enumerate(found.items()):
        yield Progress(done, len(found), "preparing cases")
        try:
            packed[name] = _prepare(files, folders, cache, how, (tags or {}).get(name, {}))
        except TrainingError:
            raise
        except GliocamError as error:
            problems[name] = str(error)
    yield Progress(len(found), len(found), "preparing cases")
    if not packed:
        reason = next(iter(problems.values()), "there is no case")
        raise TrainingError(f'No case in "{cases}" can be used: {reason}')
    sources = {name: next(iter(found[name].modalities.values())) for name in packed}
    return MaskSet(packed, 2 * len(folders), sources, problems)


def _prepare(
    files: CaseFiles,
    folders: Sequence[Path],
    cache: Path,
    how: MaskPreparation,
    tags: Mapping[int, Tag],
) -> Path:
    """Return the packed file of a case, made now if it is not there."""
    paths = [find_result(folder, files.name) for folder in folders]
    digest = sha256(f"{how.digest()} {sorted(tags.items())}".encode())
    for path in (*files.modalities.values(), *paths):
        try:
            with path.open("rb") as stream:
                digest.update(file_digest(stream, "sha256").digest())
        except OSError as error:
            raise CaseError(
                f"{path} cannot be read ({error.strerror or error}); check the file."
            ) from error
    packed = cache / f"{safe_name(files.name)[:60]}-{digest.hexdigest()[:16]}{SUFFIX}"
    if is_whole(packed):
        return packed
    case = read_case(replace(files, labels=None))  # an expert's outline is not even opened
    check_modalities(case, how.info)
    volumes = [read_mask(folder, case) for folder in folders]
    stack = cut_slices(
        case,
        how.info.modalities,
        pixel_mm=how.info.pixel_mm,
        normalisation=how.info.normalisation,
    )
    images = with_neighbours(stack.images, case.grid.spacing[0], how.design)
    masks = [stack.frame.take(mask_of(v, t)) for v in volumes for t in TARGETS[1:]]
    numbers = file_slices(case.grid)[list(stack.frame.indices)].tolist()
    labels = _labels(masks[0], masks[1], numbers, tags, how.min_pixels)
    kept = [i for i, n in enumerate(numbers) if n not in tags or not tags[n].skipped]
    stored = np.concatenate([images, np.stack(masks, axis=1)], axis=1)
    pack_slices(stored[kept], packed, labels[kept])
    return packed


def _labels(
    core: NDArray[np.float32],
    edema: NDArray[np.float32],
    numbers: Sequence[int],
    tags: Mapping[int, Tag],
    min_pixels: int,
) -> NDArray[np.float32]:
    """Return the labels (N, 3) of slices: those given, else those of their masks (N, H, W)."""
    counts = [np.count_nonzero(mask >= 0.5, axis=(1, 2)) for mask in (core, edema)]
    labels, _ = image_labels(*counts, min_pixels=min_pixels)
    for row, number in enumerate(numbers):
        tag = tags.get(number)
        if tag is not None:
            labels[row] = (tag.tumour, tag.core, tag.edema)
    return labels.astype(np.float32)


def check_masks(slices: SliceSet) -> None:
    """Raise `TrainingError` if nothing could be learned: a class is in no mask.

    Parameters
    ----------
    slices : SliceSet
        The slices of all cases.
    """
    shown = slices.labels.sum(axis=0)
    if not shown[0]:
        raise TrainingError(
            "All masks are empty; lower the thresholds, or make them with another bundle."
        )
    for value, target in ((CORE, "core"), (EDEMA, "edema")):
        if not shown[value]:
            raise TrainingError(
                f"No mask shows {target} (label {value}); lower the class threshold, or add cases."
            )


def agreeing(slices: SliceSet, least: float, batch: int = 256) -> NDArray[np.bool_]:
    """Return which slices have first and second masks that agree; reads every slice once.

    Parameters
    ----------
    slices : SliceSet
        Slices whose last four channels are two masks of core and edema.
    least : float
        Least Dice of both masks, core and edema together; two empty ones agree.
    batch : int
        Slices that are read at once.
    """
    parts = []
    for start in range(0, len(slices), batch):
        rows = np.arange(start, min(start + batch, len(slices)))
        first, second = np.split(slices.images[rows][:, -4:] >= 0.5, 2, axis=1)
        both = (first & second).sum(axis=(1, 2, 3))
        each = first.sum(axis=(1, 2, 3)) + second.sum(axis=(1, 2, 3))
        parts.append(2 * both >= least * each)
    return np.concatenate(parts)

"""Ways to save a result: the filters of the dialog, each with its function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from napari_gliocam.case import Case, Modality
from napari_gliocam.io import save_segmentation
from napari_gliocam.io.atomic import write_files
from napari_gliocam.io.naming import NIFTI_SUFFIXES, dicom_report_name, name_on, stem
from napari_gliocam.io.saved_maps import write_maps_and_slices
from napari_gliocam.io.write import remove_other_maps
from napari_gliocam.threshold import Segmentation

Write = Callable[[Segmentation, Case, Path], list[Path]]


@dataclass(frozen=True)
class WayToSave:
    """One entry of the dialog's list of file types.

    Parameters
    ----------
    title : str
        What is written, as a user reads it.
    write : callable
        Takes the result, its case and the path; returns the files written.  Earlier files of
        these names are replaced.
    suffixes : tuple of str
        Endings that the path may have; the first is added where it has none of them.
    """

    title: str
    write: Write
    suffixes: tuple[str, ...] = NIFTI_SUFFIXES

    @property
    def filter(self) -> str:
        """The entry as Qt writes it."""
        return f"{self.title} ({' '.join(f'*{suffix}' for suffix in self.suffixes)})"

    def named(self, path: str) -> str:
        """Return a path with an ending that fits."""
        if path.lower().endswith(self.suffixes):
            return path
        plain = Path(path).with_name(stem(Path(path).name)) if self.suffixes == (".dcm",) else path
        return f"{plain}{self.suffixes[0]}"


def save_labels(segmentation: Segmentation, case: Case, path: Path) -> list[Path]:
    """Write the labels on the case's grid, and the settings as json."""
    return save_segmentation(segmentation, path, case=case, overwrite=True)


def _save_with_maps(segmentation: Segmentation, case: Case, path: Path) -> list[Path]:
    written = write_maps_and_slices(segmentation.maps, case, path.parent)
    return [*save_labels(segmentation, case, path), *written]


def _save_on_series(
    modality: Modality, segmentation: Segmentation, case: Case, path: Path, *, maps: bool = False
) -> list[Path]:
    from napari_gliocam.prepare.way_back import pack_maps_on_original, pack_on_original

    contents = {path: pack_on_original(segmentation.labels, case, modality, path)}
    if maps:
        contents |= pack_maps_on_original(segmentation.maps, case, modality, path.parent)
    write_files(contents, overwrite=True)
    if maps:
        name = name_on(case.name, modality)
        remove_other_maps(path.parent, name, segmentation.maps.targets)
    return list(contents)


def _save_dicom(
    modality: Modality, segmentation: Segmentation, case: Case, path: Path
) -> list[Path]:
    from napari_gliocam.prepare.dicom_out import dicom_result

    result = dicom_result(segmentation, case, modality)
    report = path.with_name(dicom_report_name(path.name))
    contents = {path: result.segmentation, report: result.report}
    write_files(contents, overwrite=True)
    return list(contents)


LABELS = WayToSave("NIfTI", save_labels)


def ways_to_save(case: Case) -> tuple[WayToSave, ...]:
    """Return what can be written of a result of a case; labels on its own grid come first.

    Parameters
    ----------
    case : Case
        One that was prepared can be saved on the grid of each of its series, and as DICOM on
        those that were DICOM.
    """
    ways = [LABELS, WayToSave("NIfTI, and the maps", _save_with_maps)]
    originals = {} if case.preparation is None else case.preparation.originals
    for modality, original in originals.items():
        title = f"NIfTI on the grid of the {modality.title} series"
        on_series = partial(_save_on_series, modality)
        ways.append(WayToSave(title, on_series))
        ways.append(WayToSave(f"{title}, and the maps", partial(on_series, maps=True)))
        if original.is_dicom:
            title = f"DICOM segmentation and report on the {modality.title} series"
            ways.append(WayToSave(title, partial(_save_dicom, modality), (".dcm",)))
    return tuple(ways)

"""Find the series of one examination, whatever form its files have."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_gliocam.case import Modality
from napari_gliocam.errors import CaseError
from napari_gliocam.io.find import CaseFiles
from napari_gliocam.io.foreign import looks_like_dicom, may_be_dicom
from napari_gliocam.io.naming import FileName, Role, parse_names, readable, stem
from napari_gliocam.io.together import is_series_number
from napari_gliocam.prepare.dicom_scan import read_dicom, scan_dicom
from napari_gliocam.prepare.images import is_image, read_image
from napari_gliocam.prepare.series import Series, SeriesVolume
from napari_gliocam.wording import counted

#: Files of one folder beyond which it is no study but an archive.
_MOST_FILES = 60_000
#: What is said of an image until it is chosen.
_NOT_TAKEN = " is not taken"
_NOT_MOVED = " holds labels, which are not brought onto the case's grid."


@dataclass(frozen=True, eq=False)
class Examination:
    """Series of one examination, and which of them is which modality.

    Parameters
    ----------
    name : str
        Of its folder, or of the case that the files' names tell.
    series : tuple of Series
        All that may be one of the four sequences.
    chosen : mapping of Modality to Series
        Which series is used for each modality.
    left_out : tuple of str
        What lies in the folder besides, one sentence each.
    """

    name: str
    series: tuple[Series, ...]
    chosen: Mapping[Modality, Series] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    @property
    def reference(self) -> Modality:
        """The modality that the others are aligned to: T1ce, else FLAIR, T2, T1.

        Raises
        ------
        CaseError
            No series is chosen.
        """
        order = (Modality.T1CE, Modality.FLAIR, Modality.T2, Modality.T1)
        for modality in order:
            if modality in self.chosen:
                return modality
        names = "; ".join(_told(one) for one in self.series[:6])
        raise CaseError(
            f"The modality of no series of {self.name} can be told ({names}); choose them with "
            "--t1ce, --flair, --t2 and --t1."
        )

    def choosing(self, modality: Modality, series: Series | None) -> Examination:
        """Return the study with another series for a modality, or none."""
        chosen = {m: s for m, s in self.chosen.items() if m is not modality and s is not series}
        if series is not None:
            chosen[modality] = series
        used = tuple(f"{readable(one.name)}{_NOT_TAKEN}" for one in chosen.values())
        return replace(
            self,
            chosen={m: chosen[m] for m in Modality if m in chosen},
            left_out=tuple(said for said in self.left_out if not said.startswith(used)),
        )

    def find_series(self, words: str) -> Series:
        """Return the series with a name, or a part of it that no other has.

        Raises
        ------
        CaseError
            There is none, or several.
        """
        exact = [one for one in self.series if one.name.lower() == words.lower()]
        parts = [one for one in self.series if words.lower() in one.name.lower()]
        found = exact or parts
        if len(found) == 1:
            return found[0]
        names = ", ".join(one.name for one in found or self.series)
        several = "several series" if found else "no series"
        raise CaseError(f'{self.name} has {several} called "{words}"; choose one of: {names}.')


def _told(series: Series) -> str:
    return f"{series.name}: {series.reason}" if series.reason else series.name


def find_examination(source: str | Path | CaseFiles) -> Examination:
    """Find the series of an examination.

    Parameters
    ----------
    source : str, Path or CaseFiles
        A folder, searched with those below it; an image of any format, with its siblings; or the
        files of a case that `napari_gliocam.io.find_case` found.

    Returns
    -------
    Examination
        With a proposal of which series is which modality: of several, the one that covers most
        of the head, and of those the finest.

    Raises
    ------
    CaseError
        Nothing there, no image, two patients or two examinations.
    """
    if isinstance(source, CaseFiles):
        return _of_case(source)
    path = Path(source).expanduser()
    if not os.path.lexists(path):
        raise CaseError(f"{path} does not exist; check the path.")
    folder = path if path.is_dir() else path.parent
    where = readable(folder.resolve().name) or "study"
    files = _files(folder, deep=path.is_dir())
    images = [file for file in files if is_image(file)]
    rest = {file: looks_like_dicom(file) for file in files if not is_image(file)}
    others = [file for file, is_dicom in rest.items() if is_dicom]
    found = scan_dicom(others, where) if others else None
    left_out = found.left_out if found else ()
    odd = [file for file, is_dicom in rest.items() if not is_dicom and may_be_dicom(file)]
    if odd and found:
        left_out += (
            f"Not read: {counted(len(odd), 'file')} without an image, the first is "
            f"{readable(odd[0].name)}; decrypt or export them again.",
        )
    if not images and found and not found.series:
        raise CaseError(f"{where} holds no series that shows a brain: {' '.join(left_out[:3])}")
    if not images and not found:
        raise CaseError(
            f"{where} holds no image and no DICOM; choose the folder of an examination."
        )
    if not found or not found.series:
        examination = _of_images(where, images, path)
        return _proposed(replace(examination, left_out=left_out + examination.left_out))
    series = found.series
    if images:
        try:  # of a modality that both show, the DICOM is proposed
            beside = _of_images(where, images, path)
            series += beside.series
            left_out += beside.left_out
        except CaseError as error:
            left_out += (str(error),)
    return _proposed(Examination(where, series, left_out=left_out))


def _files(folder: Path, *, deep: bool) -> list[Path]:
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if deep and not name.startswith("."))
        found += [Path(place, name) for name in sorted(names) if not name.startswith(".")]
        if len(found) > _MOST_FILES:
            raise CaseError(
                f"{readable(folder.name)} holds more than {_MOST_FILES:,} files; choose the folder "
                "of one examination."
            )
    return [path for path in found if path.is_file()]


def _of_images(where: str, images: list[Path], asked: Path) -> Examination:
    """Return the images of a folder, or of one case in it where a file of it was asked for."""
    told = dict(zip(images, parse_names(_stem(path) for path in images), strict=True))
    labels = {path: name.case for path, name in told.items() if name.role is Role.LABELS}
    told = {
        path: name
        for path, name in told.items()
        if name.role not in (Role.LABELS, Role.RESULT, Role.MAP, Role.OTHER)
    }
    if not told:
        raise CaseError(f"{where} holds labels and maps, but no image; add the images.")
    base = asked if asked.is_dir() else asked.parent
    # Files that are called by their modality alone are told apart by their folder.
    case_of = {
        path: name.case
        or (where if path.parent == base else path.parent.relative_to(base).as_posix())
        for path, name in told.items()
    }
    shown: dict[str, set[Modality]] = {}
    for path, name in told.items():
        if name.modality:
            shown.setdefault(case_of[path], set()).add(name.modality)
    cases = [case for case, modalities in shown.items() if len(modalities) > 1]
    if len(cases) > 1:
        own = case_of.get(asked)
        if own not in cases:
            raise CaseError(
                f"{where} holds two or more cases, {readable(cases[0])} and {readable(cases[1])}; "
                "choose a file of the one you mean."
            )
        told = {path: name for path, name in told.items() if case_of[path] == own}
        labels = {path: case for path, case in labels.items() if case == own}
    doubtful = _of_another(told, asked)
    series = []
    for path, name in told.items():
        modality = None if path in doubtful else name.modality
        series.append(Series(path.name, (path,), modality, "the file's name" if modality else ""))
    names = {name.case for path, name in told.items() if name.modality and path not in doubtful}
    named = names.pop() if len(names) == 1 else ""
    left_out = *doubtful.values(), *(f"{readable(path.name)}{_NOT_MOVED}" for path in labels)
    return Examination(readable(named) or where, tuple(series), left_out=left_out)


def _of_another(told: Mapping[Path, FileName], asked: Path) -> dict[Path, str]:
    """Return the images that may show another patient, each with a sentence about it.

    Names of series differ in numbers and words, so one name of its own says nothing.  But where two
    modalities have a name in common (``p_t2``, ``p_flair``), it is that of the case, and a third
    whose name shares no word with it (``q_t1ce``) is not taken without being asked for.
    """
    shown: dict[tuple[str, ...], dict[Path, Modality]] = {}
    for path, name in told.items():
        if name.modality and name.id:
            shown.setdefault(name.id, {})[path] = name.modality
    common = [
        one
        for one, files in shown.items()
        if len(set(files.values())) > 1 and not any(map(is_series_number, one))
    ]
    if len(common) != 1 or (asked in told and told[asked].id not in common):
        return {}
    (case,) = common
    listed = " and ".join(readable(path.name) for path in list(shown[case])[:2])
    return {
        path: f"{readable(path.name)}{_NOT_TAKEN}, since its name shares nothing with {listed}; "
        f"if it shows the same patient, choose it in the panel or with --{modality.value}."
        for words, files in shown.items()
        if not set(words) & set(case) and not any(map(is_series_number, words))
        for path, modality in files.items()
    }


def _stem(path: Path) -> str:
    name = stem(path.name)
    return name if name != path.name else path.stem


def _of_case(files: CaseFiles) -> Examination:
    if files.problem:
        raise CaseError(files.problem)
    if files.volume_4d is not None:
        raise CaseError(
            f"{files.volume_4d.name} holds all modalities on one grid already; segment it as it is."
        )
    series = [
        Series(path.name, (path,), modality, "the file's name")
        for modality, path in files.modalities.items()
    ]
    series += [Series(path.name, (path,)) for path in files.unknown if is_image(path)]
    return _proposed(Examination(files.name, tuple(series)))


def _proposed(examination: Examination) -> Examination:
    chosen: dict[Modality, Series] = {}
    for modality in Modality:
        several = [one for one in examination.series if one.modality is modality]
        if several:
            chosen[modality] = max(several, key=lambda one: one.cover)
    return replace(examination, chosen=chosen)


def read_series(series: Series) -> SeriesVolume:
    """Decode a series; raise `CaseError` where it cannot be read."""
    if series.is_dicom:
        return read_dicom(series)
    (path,) = series.paths
    return read_image(path)

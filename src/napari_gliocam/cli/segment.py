"""The command ``segment``: labels and json for each case."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_gliocam.cli.batch import Outcome, Sources, each_case, end, plan, run_cases, say_each
from napari_gliocam.cli.cluster import Cluster
from napari_gliocam.cli.console import (
    AsJson,
    Debug,
    echo,
    one_of,
    say,
    sentences,
    uninterrupted,
)
from napari_gliocam.cli.options import with_shared_options
from napari_gliocam.progress import Progress
from napari_gliocam.settings import SegmentRequest
from napari_gliocam.targets import TARGETS

if TYPE_CHECKING:
    from napari_gliocam.case import Case
    from napari_gliocam.io import CaseFiles
    from napari_gliocam.nets.bundle import Bundle
    from napari_gliocam.threshold import Segmentation


@dataclass(frozen=True)
class Saved:
    """A case that was segmented.

    Parameters
    ----------
    files : tuple of Path
        The labels, the json, the maps.
    segmentation : mapping
        Volumes, settings and device: what a line of json says.
    warnings : tuple of str
        One sentence each.
    """

    files: tuple[Path, ...]
    segmentation: dict[str, Any]
    warnings: tuple[str, ...]

    def facts(self) -> dict[str, Any]:
        """Return plain values for a line of json."""
        files = [str(path) for path in self.files]
        return {"files": files, **self.segmentation, "warnings": list(self.warnings)}


#: Series that labels are brought back to.
Series = Literal["flair", "t1ce", "t2", "t1"]


@dataclass(frozen=True)
class ResultFolder:
    """The folder that results go to, and the files in it.

    Parameters
    ----------
    out : Path
        Each case gets a folder in it.
    save_maps : bool
        Write the maps of each target, too.
    overwrite : bool
        Replace the results of an earlier run.
    back : tuple of {"flair", "t1ce", "t2", "t1"}
        Write labels on the grid of this series, too.
    dicom : {"flair", "t1ce", "t2", "t1"}, optional
        Write a DICOM segmentation that opens on this series, and a measurement report.
    """

    out: Path
    save_maps: bool = False
    overwrite: bool = False
    back: tuple[Series, ...] = ()
    dicom: Series | None = None

    def files_of(self, name: str) -> list[Path]:
        """Return every file that a case of this name gets: the labels, the json, the maps."""
        from napari_gliocam.io.naming import (
            dicom_names,
            labels_name_on,
            map_name,
            name_on,
            safe_name,
        )

        stem = safe_name(name)
        names = [f"{stem}_seg.nii.gz", f"{stem}.json"]
        if self.save_maps:
            names += [map_name(name, target) for target in TARGETS]
        for series in self.back:
            names.append(labels_name_on(name, series))
            if self.save_maps:
                names += [map_name(name_on(name, series), target) for target in TARGETS]
        if self.dicom:
            names += dicom_names(name, self.dicom)
        return [self.out / stem / name for name in names]

    def refuse(self, files: CaseFiles) -> str | None:
        """Say why the results of a case could not be written, as far as can be told now."""
        from napari_gliocam.cli.batch import in_the_way
        from napari_gliocam.io.sidecar import is_foreign, written_here

        targets = self.files_of(files.name)
        sources = {path.resolve() for path in files.paths}
        for path in targets:
            if path.resolve() in sources and not written_here(path):
                return f"{path} is one of the case's own files; choose another --out."
        if sentence := in_the_way(targets, overwrite=self.overwrite):
            return sentence
        labels, described, *_ = targets
        if labels.exists() and not written_here(labels):
            return f"{labels} is no result of this program; choose another --out, or move it away."
        if is_foreign(described, labels):
            return f"{described} was not saved with {labels.name}; choose another --out."
        return None

    def check_series(self, case: Case) -> None:
        """Raise a `SaveError` where a series that labels are asked for on is not there."""
        if not self.back and not self.dicom:
            return
        from napari_gliocam.case import Modality
        from napari_gliocam.prepare.dicom_out import dicom_series_of
        from napari_gliocam.prepare.way_back import original_of

        for series in self.back:
            original_of(case, Modality(series))
        if self.dicom:
            dicom_series_of(case, Modality(self.dicom))

    def save(self, segmentation: Segmentation, case: Case) -> list[Path]:
        """Write everything or, where something fails, leave nothing new behind.

        With ``overwrite`` each of the two, maps and labels with json, is replaced whole or not
        at all.
        """
        from napari_gliocam.io import save_maps, save_segmentation
        from napari_gliocam.io.atomic import write_files
        from napari_gliocam.io.naming import name_on
        from napari_gliocam.io.write import remove_other_maps

        labels, *_ = self.files_of(case.name)
        folder_was_there = labels.parent.exists()
        maps: list[Path] = []
        originals = self._on_originals(segmentation, case)
        with uninterrupted():
            try:
                if self.save_maps:
                    maps = save_maps(segmentation.maps, case, labels.parent, self.overwrite)
                if originals:
                    write_files(originals, overwrite=self.overwrite)
                    maps += originals
                if self.save_maps and self.overwrite:
                    for series in self.back:
                        name, targets = name_on(case.name, series), segmentation.maps.targets
                        remove_other_maps(labels.parent, name, targets)
                written = save_segmentation(
                    segmentation, labels, case=case, overwrite=self.overwrite
                )
            except BaseException:
                if not self.overwrite:
                    for path in maps:
                        path.unlink(missing_ok=True)
                if not folder_was_there:
                    with suppress(OSError):
                        labels.parent.rmdir()
                raise
        return [*written, *maps]

    def _on_originals(self, segmentation: Segmentation, case: Case) -> dict[Path, bytes]:
        """Return what is written on the series that the case was prepared from."""
        if not self.back and not self.dicom:
            return {}
        from napari_gliocam.case import Modality
        from napari_gliocam.io.naming import labels_name_on
        from napari_gliocam.prepare.dicom_out import dicom_result
        from napari_gliocam.prepare.way_back import pack_maps_on_original, pack_on_original

        every = self.files_of(case.name)
        contents: dict[Path, bytes] = {}
        for series in map(Modality, self.back):
            path = every[0].with_name(labels_name_on(case.name, series))
            contents[path] = pack_on_original(segmentation.labels, case, series, path)
            if self.save_maps:
                maps = segmentation.maps
                contents |= pack_maps_on_original(maps, case, series, path.parent)
        if self.dicom and segmentation.labels.any():
            result = dicom_result(segmentation, case, Modality(self.dicom))
            contents[every[-2]], contents[every[-1]] = result.segmentation, result.report
        return contents


@with_shared_options
def segment(
    sources: Sources,
    target: ResultFolder,
    request: SegmentRequest,
    cluster: Cluster,
    prepare: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            parser=one_of("auto", "none"),
            help="auto: align, resample and strip where a case needs it; none: take it as it is.",
        ),
    ] = "auto",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Segment cases: DIR/CASE/CASE_seg.nii.gz (1 core, 2 edema) and CASE.json for each.

    The labels of a bundle that knows the tumour alone are 4.

    CASE may be a folder of DICOM, NRRD, MHA or MGZ files, and its series may lie on different
    grids or show the skull: it is prepared first, see "napari-gliocam prepare".  A case that
    fails does not stop the others.
    """
    auto = prepare == "auto"
    with sentences(debug):
        planned = plan(sources, target.refuse, examinations=auto)
        # What is there was refused; a case that is done again after a lost worker is not.
        into = replace(target, overwrite=True) if cluster else target
        done, stopped = run_cases(
            each_case(
                planned,
                lambda files, bundle: _segmenting(files, bundle, request, into, auto=auto),
                request,
                cluster,
            ),
            _show,
            facts=Saved.facts if as_json else None,
            debug=debug,
        )
        if stopped:
            saved = sum(one.error is None for one in done)
            say(f"Stopped with {saved} of the cases saved; nothing was written for the others.")
        end(done, stopped=stopped)


def _segmenting(
    files: CaseFiles, bundle: Bundle, request: SegmentRequest, target: ResultFolder, *, auto: bool
) -> Generator[Progress, None, Saved]:
    from napari_gliocam.io import read_case
    from napari_gliocam.segmentation import segmenting
    from napari_gliocam.trust.statement import outside_of_training

    yield Progress(0, 1, "reading")
    # Nobody looks at expert labels here, so their troubles stop nothing.
    files = replace(files, labels=None)
    if auto:
        from napari_gliocam.prepare.opening import opening

        case = yield from opening(files)
    else:
        case = read_case(files)
    target.check_series(case)  # before any network runs
    segmentation = yield from segmenting(case, bundle=bundle, **request.options)
    yield Progress(0, 1, "saving")
    written = target.save(segmentation, case)
    provenance = segmentation.maps.provenance
    said = {
        "volumes_ml": segmentation.volumes_ml,
        "missing_modalities": provenance.get("missing_modalities", []),
        "slices": provenance.get("slices"),
        "settings": asdict(segmentation.settings),
        "refinement": request.refinement.used,
        "bundle": bundle.info.name,
        "device": provenance.get("device"),
    }
    worse = bundle.info.worse_without(case.volumes)
    warnings = (*case.warnings, *([worse] if worse else ()))
    warnings += outside_of_training(case, segmentation)
    if target.dicom and not segmentation.labels.any():
        warnings = (*warnings, "No tumour was found, so no DICOM was written; the NIfTI says so.")
    return Saved(tuple(written), said, warnings)


def _show(saved: Saved, outcome: Outcome[Saved]) -> None:
    """Print what was found."""
    say_each(outcome, saved.warnings)
    volumes = saved.segmentation["volumes_ml"].items()
    named = [f"{name} {ml:.1f} ml" for name, ml in volumes if name != "tumour" or len(volumes) == 1]
    echo(f"{outcome.case}: {', '.join(named)}, {outcome.seconds:.1f} s, {saved.files[0]}")

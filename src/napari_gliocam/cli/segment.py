"""The command ``segment``: labels and json for each case."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_gliocam.cli.batch import Outcome, Sources, each_case, end, plan, run_cases
from napari_gliocam.cli.cluster import Cluster
from napari_gliocam.cli.console import (
    AsJson,
    Debug,
    Overwrite,
    echo,
    say,
    sentences,
    uninterrupted,
)
from napari_gliocam.cli.options import with_shared_options
from napari_gliocam.errors import SaveError
from napari_gliocam.progress import Progress
from napari_gliocam.settings import SegmentRequest
from napari_gliocam.targets import TARGETS

if TYPE_CHECKING:
    from napari_gliocam.case import Case
    from napari_gliocam.io import CaseFiles
    from napari_gliocam.nets.bundle import Bundle
    from napari_gliocam.threshold import Segmentation


@with_shared_options
def segment(
    sources: Sources,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Each case gets a folder in it.")
    ],
    request: SegmentRequest,
    cluster: Cluster,
    save_maps: Annotated[
        bool, typer.Option("--save-maps", help="Write the tumour, core and edema maps, too.")
    ] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Segment cases: DIR/CASE/CASE_seg.nii.gz (1 core, 2 edema) and CASE.json for each.

    A case that fails does not stop the others; the exit status is 1 if any failed.
    """
    target = ResultFolder(out, save_maps, overwrite)
    with sentences(debug):
        planned = plan(sources, target.refuse)
        # What is there was refused; a case that is done again after a lost worker is not.
        into = replace(target, overwrite=True) if cluster else target
        done, stopped = run_cases(
            each_case(
                planned,
                lambda files, bundle: _segmenting(files, bundle, request, into),
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


@dataclass(frozen=True)
class ResultFolder:
    """Where results go.

    Parameters
    ----------
    out : Path
        Each case gets a folder in it.
    save_maps : bool
        Whether the three maps are written, too.
    overwrite : bool
        Whether results of an earlier run are replaced.
    """

    out: Path
    save_maps: bool
    overwrite: bool

    def files_of(self, name: str) -> list[Path]:
        """Return every file that a case of this name gets: the labels, the json, the maps."""
        from napari_gliocam.io.naming import safe_name

        stem = safe_name(name)
        names = [f"{stem}_seg.nii.gz", f"{stem}.json"]
        if self.save_maps:
            names += [f"{stem}_{target}_map.nii.gz" for target in TARGETS]
        return [self.out / stem / name for name in names]

    def refuse(self, files: CaseFiles) -> str | None:
        """Say why the results of a case could not be written, as far as can be told now."""
        from napari_gliocam.cli.batch import refuse_existing
        from napari_gliocam.io.sidecar import is_foreign, written_here

        targets = self.files_of(files.name)
        sources = {path.resolve() for path in files.paths}
        for path in targets:
            if path.resolve() in sources and not written_here(path):
                return f"{path} is one of the case's own files; choose another --out."
        try:
            refuse_existing(targets, overwrite=self.overwrite)
        except SaveError as error:
            return str(error)
        labels, described, *_ = targets
        if labels.exists() and not written_here(labels):
            return f"{labels} is no result of this program; choose another --out, or move it away."
        if is_foreign(described, labels):
            return f"{described} was not saved with {labels.name}; choose another --out."
        return None

    def save(self, segmentation: Segmentation, case: Case) -> list[Path]:
        """Write everything or, where something fails, leave nothing new behind.

        With ``overwrite`` each of the two, maps and labels with json, is replaced whole or not
        at all.
        """
        from napari_gliocam.io import save_maps, save_segmentation

        labels, *_ = self.files_of(case.name)
        folder_was_there = labels.parent.exists()
        maps: list[Path] = []
        with uninterrupted():
            try:
                if self.save_maps:
                    maps = save_maps(segmentation.maps, case, labels.parent, self.overwrite)
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


def _segmenting(
    files: CaseFiles, bundle: Bundle, request: SegmentRequest, target: ResultFolder
) -> Generator[Progress, None, Saved]:
    from napari_gliocam.io import read_case
    from napari_gliocam.segmentation import segmenting

    yield Progress(0, 1, "reading")
    # Nobody looks at expert labels here, so their troubles stop nothing.
    case = read_case(replace(files, labels=None))
    segmentation = yield from segmenting(
        case,
        bundle=bundle,
        device=request.device,
        thresholds=request.thresholds,
        refinement=request.refinement,
    )
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
    return Saved(tuple(written), said, tuple(case.warnings))


def _show(saved: Saved, outcome: Outcome[Saved]) -> None:
    """Print what was found."""
    for warning in saved.warnings:
        say(f"{outcome.case}: {warning}")
    volumes = saved.segmentation["volumes_ml"]
    echo(
        f"{outcome.case}: core {volumes['core']:.1f} ml, edema {volumes['edema']:.1f} ml, "
        f"{outcome.seconds:.1f} s, {saved.files[0]}"
    )

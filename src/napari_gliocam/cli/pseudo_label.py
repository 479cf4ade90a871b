"""The command ``pseudo-label``: masks to teach a segmentation network with."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_gliocam.cli.batch import Outcome, Sources, each_case, end, plan, run_cases
from napari_gliocam.cli.console import AsJson, Debug, Out, Overwrite, echo, say, sentences
from napari_gliocam.cli.options import with_shared_options
from napari_gliocam.cli.segment import ResultFolder
from napari_gliocam.errors import SaveError
from napari_gliocam.progress import Progress
from napari_gliocam.settings import SegmentRequest, Thresholds

if TYPE_CHECKING:
    from napari_gliocam.io import CaseFiles
    from napari_gliocam.nets.bundle import Bundle
    from napari_gliocam.train.labels.tags import Tag


@with_shared_options
def pseudo_label(
    sources: Sources,
    out: Out,
    request: SegmentRequest,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="case,slice,core,edema: a class is background on slices that deny it.",
        ),
    ] = None,
    second_out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Second masks, by a dense CRF (paper 3), go there."),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Cut the maps of this method of explain instead, such as multiscale:gradcam, at "
            "the class threshold.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Make masks that teach a segmentation network: maps, thresholds, refinement, slice labels.

    Expert labels are never read.  A case that fails does not stop the others.
    """
    with sentences(debug):
        if second_out is not None and second_out.resolve() == out.resolve():
            raise SaveError(f"{out} is given twice; choose another folder as --second-out.")
        tags = _tags(labels)
        first = ResultFolder(out, overwrite=overwrite)
        second = replace(first, out=second_out) if second_out else None
        work = _Work(request, tags, method, first, second)
        done, stopped = run_cases(
            each_case(plan(sources, work.refuse), work.labelling, request),
            _show,
            facts=Labelled.facts if as_json else None,
            debug=debug,
        )
        for sentence in work.unlabelled(done) if labels else ():
            say(sentence)
        end(done, stopped=stopped)


@dataclass(frozen=True)
class Labelled:
    """The masks of a case.

    Parameters
    ----------
    files : tuple of Path
        The files written.
    volumes_ml : mapping of str to float
        Volumes of core, edema and tumour of the first masks.
    denied : int
        Voxels that the slice labels made background.
    labelled : bool
        Whether there are slice labels of the case.
    """

    files: tuple[Path, ...]
    volumes_ml: Mapping[str, float]
    denied: int
    labelled: bool

    def facts(self) -> dict[str, Any]:
        """Return plain values for a line of json."""
        return {**asdict(self), "files": [str(path) for path in self.files]}


@dataclass(frozen=True)
class _Work:
    """The work on each case."""

    request: SegmentRequest
    tags: Mapping[str, Mapping[int, Tag]]
    method: str | None
    first: ResultFolder
    second: ResultFolder | None

    def refuse(self, files: CaseFiles) -> str | None:
        """Return why the masks of a case could not be written, or None."""
        problem = self.first.refuse(files)
        if problem is None and self.second is not None:
            problem = self.second.refuse(files)
        return problem

    def labelling(self, files: CaseFiles, bundle: Bundle) -> Generator[Progress, None, Labelled]:
        """Read a case without its expert labels, make its masks and write them."""
        from napari_gliocam.io import read_case
        from napari_gliocam.train.labels.pseudo import CRF_MASKS, pseudo_labelling

        yield Progress(0, 1, "reading")
        case = read_case(replace(files, labels=None))
        maps, thresholds = None, self.request.thresholds
        if self.method is not None:
            from napari_gliocam.cams.methods.registry import make_method
            from napari_gliocam.cams.run.explain import Explaining
            from napari_gliocam.cams.run.prepare import preparing

            prepared = yield from preparing(case, bundle, self.request.device)
            own: dict[str, Any] = {}
            if self.method == "refit":  # explained and fitted on the same clusters, as in paper 4
                clusters = self.request.refinement.clusters
                own = {"clusters": clusters, "pixel_mm": bundle.info.pixel_mm}
            method = make_method(self.method, **own)
            explaining = Explaining(prepared, method, ("core", "edema"), gate=True)
            maps = (yield from explaining.run()).as_result()
            level = (thresholds or Thresholds()).class_threshold
            thresholds = Thresholds(level, level, gate=False)
        made = yield from pseudo_labelling(
            case,
            self.tags.get(case.name),
            bundle=bundle,
            device=self.request.device,
            maps=maps,
            thresholds=thresholds,
            refinement=self.request.refinement,
            second=None if self.second is None else CRF_MASKS,
        )
        yield Progress(0, 1, "saving")
        written = self.first.save(made.first, case)
        if self.second is not None and made.second is not None:
            written += self.second.save(made.second, case)
        known = case.name in self.tags
        return Labelled(tuple(written), made.first.volumes_ml, made.denied, known)

    @staticmethod
    def unlabelled(done: list[Outcome[Labelled]]) -> list[str]:
        """Return a sentence about cases without slice labels."""
        names = [one.case for one in done if one.result and not one.result.labelled]
        if not names:
            return []
        listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        return [f"The table has no labels of {listed}; their masks are as the maps have them."]


def _tags(file: Path | None) -> Mapping[str, Mapping[int, Tag]]:
    if file is None:
        return {}
    from napari_gliocam.train.labels.tag_file import load_tags

    tags, warnings = load_tags(file)
    for sentence in warnings:
        say(sentence)
    return tags.cases


def _show(labelled: Labelled, outcome: Outcome[Labelled]) -> None:
    volumes = labelled.volumes_ml
    denied = f", {labelled.denied} voxels denied" if labelled.labelled else ""
    echo(
        f"{outcome.case}: core {volumes['core']:.1f} ml, edema {volumes['edema']:.1f} ml{denied}, "
        f"{outcome.seconds:.1f} s, {labelled.files[0]}"
    )

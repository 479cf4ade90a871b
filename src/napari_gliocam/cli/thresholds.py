"""The command ``thresholds``: paper 5's search for the thresholds of an ensemble."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from napari_gliocam.cli.batch import Planned, Sources, plan, refuse_existing, sentence_of
from napari_gliocam.cli.console import (
    FAILED,
    AsJson,
    Debug,
    Device,
    Overwrite,
    bar,
    echo,
    one_of,
    say,
    sentences,
)
from napari_gliocam.cli.explain import make_ensemble
from napari_gliocam.cli.options import with_shared_options
from napari_gliocam.errors import CaseError, GliocamError
from napari_gliocam.progress import finish
from napari_gliocam.targets import TARGETS, mask_of
from napari_gliocam.wording import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_gliocam.cams.compare.threshold_grid import ThresholdGrid
    from napari_gliocam.io import CaseFiles
    from napari_gliocam.targets import Target

    Measured = tuple[list[NDArray[np.float32]], NDArray[np.bool_]]


@with_shared_options
def thresholds(
    sources: Sources,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Gets thresholds.json and .csv.")
    ],
    method: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="As in explain. Repeatable.  [default: gradcam]"),
    ] = None,
    class_: Annotated[
        str,
        typer.Option(
            "--class", metavar="NAME", help="tumour, core or edema.", parser=one_of(*TARGETS)
        ),
    ] = "tumour",
    ensemble: Annotated[
        str,
        typer.Option(metavar="NAME", help="union, intersection, smaller, larger, or votes."),
    ] = "intersection",
    layer: Annotated[
        int, typer.Option(metavar="N", help="Residual stage that is explained, 1 to 4.")
    ] = 4,
    bundle: Annotated[
        list[Path] | None, typer.Option("--bundle", metavar="DIR", help="Weights. Repeatable.")
    ] = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Try the thresholds 0, 0.1 to 1 of two or three maps on cases with expert labels.

    Uses pixel masks: take training cases. A case that fails does not stop the others.
    """
    from napari_gliocam.cams.compare.threshold_grid import MAX_MAPS, search_thresholds
    from napari_gliocam.io.atomic import write_files

    with sentences(debug):
        methods = list(dict.fromkeys(method or ["gradcam"]))
        bundles: list[Path | None] = [*bundle] if bundle else [None]
        if not 2 <= len(methods) * len(bundles) <= MAX_MAPS:
            raise GliocamError(
                f"{counted(len(methods), 'method')} with {counted(len(bundles), 'bundle')} "
                f"would make {counted(len(methods) * len(bundles), 'map')}; choose methods and "
                f"bundles for 2 or {MAX_MAPS}."
            )
        files = [out / f"thresholds.{kind}" for kind in ("json", "csv")]
        refuse_existing(files, overwrite=overwrite)
        search = _Search(methods, bundles, cast("Target", class_), layer, device)
        planned = plan(sources, _refuse)
        failed: list[str] = []
        grid = search_thresholds(search.cases(planned, failed), make_ensemble(ensemble))
        content = {
            "class": class_,
            "methods": methods,
            "cases": len(planned) - len(failed),
            **grid.to_json(),
        }
        text = json.dumps(content, indent=1) + "\n"
        write_files({files[0]: text, files[1]: grid_csv(grid)}, overwrite=overwrite)
        if as_json:
            typer.echo(json.dumps(content))
        else:
            echo(f"{grid.notice} mIoU {grid.miou.max():.3f}. {files[0]}, {files[1]}")
    if failed:
        raise typer.Exit(FAILED)


def grid_csv(grid: ThresholdGrid) -> str:
    """Return a row for each combination of thresholds."""
    import numpy as np

    from napari_gliocam.cams.compare.threshold_grid import GRID
    from napari_gliocam.io.tables import csv_text

    count = grid.miou.ndim
    head = [*(f"threshold_{n}" for n in range(1, count + 1)), "miou", "iou"]
    return csv_text(
        head,
        (
            (*(GRID[i] for i in where), f"{grid.miou[where]:.5f}", f"{grid.iou[where]:.5f}")
            for where in np.ndindex(grid.miou.shape)
        ),
    )


def _refuse(files: CaseFiles) -> str | None:
    if files.labels is None:
        return f'Case "{files.name}" has no expert labels to search with; add its _seg file.'
    return None


@dataclass(frozen=True)
class _Search:
    """Maps of cases, one for each method and bundle."""

    methods: list[str]
    bundles: list[Path | None]
    target: Target
    layer: int
    device: str

    def cases(self, planned: list[Planned], failed: list[str]) -> Iterator[Measured]:
        """Return maps and expert mask of each case; a sentence for each that fails."""
        for item in planned:
            try:
                if item.files is None:
                    raise CaseError(str(item.error))
                measured = self._measure(item.files)
            except Exception as error:
                sentence = sentence_of(error, item.name)
                say(sentence)
                failed.append(sentence)
            else:
                yield measured

    def _measure(self, files: CaseFiles) -> Measured:
        from napari_gliocam.cams.compare.request import CompareRequest
        from napari_gliocam.cams.run.explain import explaining_together
        from napari_gliocam.cams.run.prepare import asking, preparing
        from napari_gliocam.io import read_case
        from napari_gliocam.measure.evaluation.record import expert_labels
        from napari_gliocam.nets.bundle import load_bundle

        case = read_case(files)
        truth = mask_of(expert_labels(case), self.target)
        request = CompareRequest(tuple(self.methods), (self.target,), (self.layer,))
        maps: list[Any] = []
        for path in self.bundles:
            with bar(files.name) as report:
                prepared = finish(preparing(case, load_bundle(path), self.device), report)
                prepared = finish(asking(prepared, (self.target,)), report)
                works = request.explainings(prepared)
                finish(explaining_together(works), report)
            for work in works:
                made = work.so_far()
                assert made is not None
                maps.append(made.of(self.target))
        return maps, truth

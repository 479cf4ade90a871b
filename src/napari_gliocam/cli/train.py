"""The command ``train``: from a folder of cases and slice labels to a bundle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_gliocam.cli.console import (
    INTERRUPTED,
    AsJson,
    Debug,
    Report,
    bar,
    say,
    sentences,
)
from napari_gliocam.cli.options import MapTraining, with_shared_options
from napari_gliocam.errors import GliocamError, TrainingError
from napari_gliocam.progress import Progress, finish
from napari_gliocam.targets import TARGETS, TUMOUR_ALONE
from napari_gliocam.wording import duration

if TYPE_CHECKING:
    from napari_gliocam.train.run.events import Event, TrainingReport
    from napari_gliocam.train.run.request import TrainingRequest


@with_shared_options
def train(
    training: MapTraining,
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="finetune, aggregators, real, default, paper, released, ame-cam, resnet34, "
            "resnet50, paper1-class, paper1-class-separate, a file.",
        ),
    ] = "finetune",
    modality: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Channels of new networks: t1ce, t2, flair, t1. Repeatable; else the recipe's.",
        ),
    ] = None,
    targets: Annotated[
        Literal["tumour", "classes"] | None,
        typer.Option(
            help="New networks for the tumour alone, or for core and edema besides; else the "
            "recipe's."
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=2, help="Cross-validate: N bundles OUT/fold-1 to N, and OUT/folds.csv."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Instead of the recipe's.")
    ] = None,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Count cases and slices, estimate the time; train nothing."),
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Train a bundle with slice labels alone; the same command goes on where it was stopped.

    Several GPUs and nodes train together by --devices and --nodes, also under torchrun and SLURM.
    """
    with sentences(debug):
        need_lightning()
        request = replace(training, recipe=_recipe(recipe, modality or [], targets, seed))
        if plan:
            plan_training(request, as_json=as_json)
        elif folds is not None:
            _train_folds(request, folds, as_json=as_json)
        else:
            run_training(request, as_json=as_json)


def _recipe(
    source: str, modalities: list[str], targets: str | None, seed: int | None
) -> dict[str, Any]:
    """Return the values of a recipe, with channels, targets and seed where they are given."""
    from napari_gliocam.train.recipe.maps import Recipe, read_recipe
    from napari_gliocam.train.recipe.toml_file import build_settings, recipe_values

    values = recipe_values(read_recipe(source))
    for option, of_new in (("--modality", modalities), ("--targets", targets)):
        if of_new and values["start"] == "bundle":
            raise TrainingError(
                f'{option} is for new networks, and the recipe "{values["name"]}" goes on from a '
                "bundle, which keeps its own; leave it out, or choose --recipe default or another "
                "that begins anew."
            )
    if modalities:
        values["data"]["modalities"] = modalities
    if targets:
        values["network"]["targets"] = list(TARGETS if targets == "classes" else TUMOUR_ALONE)
    if seed is not None:
        values["seed"] = seed
    source = "--modality" if modalities else source
    return recipe_values(build_settings(Recipe, values, source))


def _train_folds(request: TrainingRequest, count: int, *, as_json: bool) -> None:
    """Train a bundle for each fold, judged with the patients of that fold."""
    from napari_gliocam.io.folds import FOLDS_FILE, read_folds, write_folds
    from napari_gliocam.train.data.split import make_folds
    from napari_gliocam.train.run.training import gathering

    if request.split:
        raise TrainingError("--folds and --split exclude each other; leave one out.")
    if not request.case_names:
        raise TrainingError("--folds names the cases in folds.csv; leave --no-names out.")
    file = request.out_dir / FOLDS_FILE
    if file.exists():
        found = max(read_folds(file).values(), default=0)
        if found != count:
            raise TrainingError(
                f'"{file}" has {found} folds and --folds asks for {count}; choose another --out.'
            )
    else:
        with bar("Training", unit="") as report:
            printer = EventPrinter(report, as_json=False, quiet=False)
            given = finish(gathering(request), printer)
        write_folds(file, make_folds(given.slices, count, given.recipe.seed))
    for fold in range(1, count + 1):
        out = request.out_dir / f"fold-{fold}"
        work = str(Path(request.work) / out.name) if request.work else ""
        name = f"{request.name or request.out_dir.name}, fold {fold}"
        one = replace(request, out=str(out), work=work, name=name, split=str(file), fold=fold)
        if not one.finished:
            run_training(one, as_json=as_json)


def run_training(request: TrainingRequest, *, as_json: bool) -> None:
    """Run a training to its end with a bar; a signal leaves a checkpoint to go on from."""
    from napari_gliocam.train.run.fit import first_process
    from napari_gliocam.train.run.training import run_request

    with bar("Training", unit="") as report:
        printer = EventPrinter(report, as_json=as_json, quiet=not first_process())
        try:
            done = run_request(request, printer)
        except (KeyboardInterrupt, SystemExit) as error:  # Lightning makes the latter of Ctrl-C
            say("Stopped; the same command goes on from the last checkpoint.")
            raise typer.Exit(INTERRUPTED) from error
        except GliocamError as error:
            error.begun = printer.begun
            raise
    if done is None:
        raise typer.Exit(INTERRUPTED)
    if first_process() and not as_json:
        typer.echo(done)


def plan_training(request: TrainingRequest, *, as_json: bool) -> None:
    """Count the cases and slices of a training and estimate its time; train nothing."""
    from napari_gliocam.train.run.events import event_to_json
    from napari_gliocam.train.run.plan import estimating_time
    from napari_gliocam.train.run.training import gathering

    request.check_folders()
    with bar("Training", unit="") as report:
        printer = EventPrinter(report, as_json=False, quiet=False)
        given = finish(gathering(request, draw=False), printer)
        for sentence in given.warnings:
            say(sentence)
        seconds = finish(estimating_time(given, request.device), printer)
    if as_json:
        typer.echo(json.dumps({**event_to_json(given.plan), "seconds": seconds}))
        return
    typer.echo(given.plan.words)
    for sentence in (*given.plan.concerns, *given.plan.left_out.values()):
        typer.echo(sentence)
    typer.echo(f"About {duration(seconds)} on this machine.")


class EventPrinter:
    """Shows the events of a training as a bar and sentences, or as json lines.

    Parameters
    ----------
    report : callable
        Moves the bar.
    as_json : bool
        Whether to print json lines.
    quiet : bool
        Whether to print nothing.
    """

    def __init__(self, report: Report, *, as_json: bool, quiet: bool) -> None:
        self.report, self.as_json, self.quiet = report, as_json, quiet
        #: Whether a step was made.
        self.begun = False
        self._epoch: tuple[str, int] = ("", 0)

    def __call__(self, event: Event) -> None:
        """Show an event."""
        from napari_gliocam.train.run.events import (
            BeforeAfter,
            Note,
            Plan,
            TrainingReport,
            event_to_json,
        )

        self.begun |= isinstance(event, TrainingReport)
        if self.quiet:
            return
        if self.as_json:
            typer.echo(json.dumps(event_to_json(event)))
        match event:
            case Progress():
                self.report(event)
            case TrainingReport():
                self.report(Progress(event.step, event.steps, event.stage))
                if not self.as_json:
                    self._say_epoch(event)
            case Note():
                say(event.sentence)
            case Plan() if not self.as_json:
                for sentence in (event.words, *event.concerns, *event.left_out.values()):
                    say(sentence)
            case BeforeAfter() if not self.as_json:
                for row in event.rows:
                    if row.case == "all" and row.before is not None and row.after is not None:
                        figures = f"{row.before:.3f} before, {row.after:.3f} after"
                        typer.echo(f"{row.measure}, {row.target}: {figures}")

    def _say_epoch(self, report: TrainingReport) -> None:
        if report.note:
            say(report.note)
        epoch = (report.stage, report.epoch)
        if report.epoch and epoch != self._epoch and "train_loss" in report.values:
            self._epoch = epoch
            shown = ", ".join(
                f"{key.replace('_', ' ')} {value:.3g}"
                for key, value in sorted(report.values.items())
                if key.startswith(("train_loss", "val_"))
            )
            say(f"{report.stage}, epoch {report.epoch} of {report.epochs}: {shown}")


def need_lightning() -> None:
    """Raise `TrainingError` if Lightning is missing or too old."""
    from importlib.metadata import PackageNotFoundError, version

    remedy = 'run: pip install "napari-gliocam[train]"'
    try:
        numbers = version("lightning").split(".")
    except PackageNotFoundError:
        raise TrainingError(
            f"Training needs Lightning, which is not installed; {remedy}."
        ) from None
    if tuple(map(int, numbers[:2])) < (2, 6):  # earlier ones run code from a checkpoint
        raise TrainingError(
            f"Training needs Lightning 2.6 or later, and {'.'.join(numbers)} is installed; "
            f"{remedy}."
        )

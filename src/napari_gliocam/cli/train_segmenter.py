"""The command ``train-segmenter``: from cases and computed masks to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_gliocam.cli.console import (
    AsJson,
    Bundle,
    Debug,
    Device,
    NoNames,
    sentences,
)
from napari_gliocam.cli.train import need_lightning, plan_training, run_training
from napari_gliocam.nets.segmenters.design import ARCHITECTURES


def train_segmenter(
    cases: Annotated[Path, typer.Option(metavar="DIR", help="A folder of cases.")],
    masks: Annotated[
        Path, typer.Option(metavar="DIR", help="Their masks, of pseudo-label or segment.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The new bundle.")],
    second_masks: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Second masks of the same cases (paper 3: by a CRF)."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="case,slice,core,edema; else a slice shows what its mask shows."
        ),
    ] = None,
    recipe: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="small-unet, mixed-unet, refit, a file.")
    ] = "small-unet",
    network: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"Instead of the recipe's: {', '.join(ARCHITECTURES)}."),
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(metavar="X", help="Weight beside the maps when it segments; 1: alone."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Instead of the recipe's.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Instead of the recipe's.")
    ] = None,
    bundle: Bundle = None,
    anatomies: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Synthetic cases are drawn into these anatomies."),
    ] = None,
    name: Annotated[str, typer.Option(help="Of the bundle; else the folder's.")] = "",
    device: Annotated[Device, typer.Option(help="Where it trains.")] = Device.AUTO,
    devices: Annotated[int, typer.Option(min=1, help="Devices a node.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Nodes.")] = 1,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that draw synthetic cases, and that load.")
    ] = 0,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Prepared slices stay there; else in --out, until the end."
        ),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Checkpoints and logs go there; else into --out."),
    ] = None,
    no_names: NoNames = False,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan", help="Prepare and count cases and slices, estimate the time; train nothing."
        ),
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Train a segmentation network on computed masks; the same command goes on where it stopped.

    Outlines of experts are refused: masks must be results of this program.  The bundle holds the
    networks of --bundle besides, which explain and compare.
    """
    with sentences(debug):
        need_lightning()
        from napari_gliocam.train.recipe.segmenter import SegmenterRecipe, read_segmenter_recipe
        from napari_gliocam.train.recipe.toml_file import build_settings, recipe_values
        from napari_gliocam.train.run.request import TrainingRequest

        chosen = read_segmenter_recipe(recipe)
        values = recipe_values(chosen)
        values["network"] |= {
            key: value
            for key, value in (("architecture", network), ("share", share))
            if value is not None
        }
        build_settings(SegmenterRecipe, values, "the options")  # a sentence for a wrong value
        if epochs is not None:
            values["fit"]["epochs"] = epochs
        if seed is not None:
            values["seed"] = seed
        request = TrainingRequest(
            cases=str(cases),
            out=str(out),
            recipe=values,
            labels="" if labels is None else str(labels),
            bundle="" if bundle is None else str(bundle),
            name=name,
            cache="" if cache is None else str(cache),
            work="" if work is None else str(work),
            device=device.value,
            devices=devices,
            nodes=nodes,
            workers=workers,
            case_names=not no_names,
            masks=str(masks),
            second_masks="" if second_masks is None else str(second_masks),
            anatomies="" if anatomies is None else str(anatomies),
        )
        if plan:
            plan_training(request, as_json=as_json)
        else:
            run_training(request, as_json=as_json)

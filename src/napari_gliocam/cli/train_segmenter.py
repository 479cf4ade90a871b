"""The command ``train-segmenter``: from cases and computed masks to a bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from napari_gliocam.cli.console import (
    AsJson,
    Debug,
    one_of,
    sentences,
)
from napari_gliocam.cli.options import MaskTraining, with_shared_options
from napari_gliocam.cli.train import need_lightning, plan_training, run_training
from napari_gliocam.nets.segmenters.design import ARCHITECTURES


@with_shared_options
def train_segmenter(
    training: MaskTraining,
    recipe: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="small-unet, mixed-unet, refit, a file.")
    ] = "small-unet",
    network: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            parser=one_of(*ARCHITECTURES),
            help=f"Instead of the recipe's: {', '.join(ARCHITECTURES)}.",
        ),
    ] = None,
    tumour_share: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Weight of the network in the tumour, beside the maps, 0 to 1; 1: no maps.",
        ),
    ] = None,
    class_share: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="The same in the division of the tumour into core and edema."
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Instead of the recipe's.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Instead of the recipe's.")
    ] = None,
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
        if not training.masks:
            raise typer.BadParameter("Name the folder of masks with --masks.")
        need_lightning()
        from napari_gliocam.train.recipe.segmenter import SegmenterRecipe, read_segmenter_recipe
        from napari_gliocam.train.recipe.toml_file import build_settings, recipe_values

        chosen = read_segmenter_recipe(recipe)
        values = recipe_values(chosen)
        own = {"architecture": network, "tumour_share": tumour_share, "class_share": class_share}
        values["network"] |= {key: value for key, value in own.items() if value is not None}
        build_settings(SegmenterRecipe, values, "--network, --tumour-share and --class-share")
        if epochs is not None:
            values["fit"]["epochs"] = epochs
        if seed is not None:
            values["seed"] = seed
        request = replace(training, recipe=values)
        if plan:
            plan_training(request, as_json=as_json)
        else:
            run_training(request, as_json=as_json)

"""The model card that goes with a bundle a user has trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_gliocam.nets.bundle import BundleInfo
from napari_gliocam.train.run.before_after import Row
from napari_gliocam.train.run.plan import Plan


def model_card(info: BundleInfo, plan: Plan, rows: Sequence[Row], compared: int) -> str:
    """Fill in what is known; what a user alone knows is asked for.

    Parameters
    ----------
    info : BundleInfo
    plan : Plan
    rows : sequence of Row
        Figures before and after, perhaps none.
    compared : int
        Cases that they are of.

    Returns
    -------
    str
        Markdown.
    """
    training = info.training
    began = training.get("began_with")
    goes_on = (
        f"It goes on from {began['name']} ({began['origin']}; licence {began['licence']})."
        if began
        else "It was trained from scratch."
    )
    lines = [
        f"# Model card: {info.name}",
        "",
        "Research use only. Not a medical device.",
        "",
        f"**What it is.** {goes_on} Input: {', '.join(m.title for m in info.modalities)}, axial "
        f"slices at {info.pixel_mm:g} mm.",
        "",
        f'**What it learned from.** {plan.words} The only labels were "this slice shows core" and '
        '"this slice shows edema"; no outline entered a loss.',
        *[f"- {concern}" for concern in plan.concerns],
        "",
        f"**How.** Recipe `{training['recipe']['name']}`, seed {training['recipe']['seed']}, "
        f"{training['hours']:g} hours on {training['machine']}. All settings are in "
        "`bundle.json`, losses and AUC by epoch in `curves.csv`.",
        "",
        "**What it reaches.** " + _figures(rows, compared),
        "",
        "**What it is not for.** Diagnosis; planning; images of another kind than those above.",
        "",
        "**To be filled in by you.** Where the cases come from, who labelled the slices, whether "
        "the weights may be passed on.",
        "",
    ]
    return "\n".join(lines)


def _figures(rows: Sequence[Row], compared: int) -> str:
    together = [row for row in rows if row.case == "all"]
    if not together:
        return "Nothing was measured: no patient was kept for validation."
    table = [
        f"On {compared} validation patients, who took no part in learning but chose the weights "
        "that were kept:",
        "",
        "| | before | after |",
        "| --- | --- | --- |",
        *(
            f"| {row.measure}, {row.target} | {_number(row.before)} | {_number(row.after)} |"
            for row in together
        ),
        "",
        "AUC is of the slice labels, Dice against expert labels.",
    ]
    return "\n".join(table)


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.3f}"

"""Train aggregators with parts of the losses on a bundle's own exits, for ``quality.py``.

    python benchmarks/ablation.py [--anatomy DIR] [--bundle DIR] --work DIR --out DIR [--seeds 3]

The slices are synthetic ones, drawn into ``--work`` (see ``scripts/train_bundle.py``).
Backbones are those of the bundle and stay as they are; every variant starts from the plain
average of the exits and takes the same slices, steps and seeds.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from napari_gliocam.nets.bundle import Bundle, load_bundle
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.progress import finish
from napari_gliocam.train.data.packed import open_slices
from napari_gliocam.train.data.synthetic import Drawing, drawing_cases
from napari_gliocam.train.recipe.maps import Recipe, read_recipe
from napari_gliocam.train.run.bundle_training import train_bundle


@dataclass(frozen=True)
class Variant:
    """What one row of the table changes in the default recipe.

    ``trained`` False leaves the plain average; ``papers`` True takes the papers' form: L_c in
    the tumour stage, guidance by the product, no sharing, no pull towards equal weights.
    """

    name: str
    separate: float = 1.0
    agree: float = 5.0
    trained: bool = True
    papers: bool = False


VARIANTS = (
    Variant("1-average, guided", trained=False),
    Variant("2-L_c", separate=0.0, agree=0.0),
    Variant("3-L_c + L_sep", agree=0.0),
    Variant("4-L_c + L_sep + L_agree"),
    Variant("5-the papers' form", papers=True),
)


def recipe_of(variant: Variant, bundle: Bundle, seed: int, slices: int) -> Recipe:
    """The default recipe without training of backbones, with a variant's losses."""
    base = read_recipe("default")
    aggregate, design = base.aggregate, bundle.info.design
    tumour, classes = aggregate.tumour, aggregate.classes
    epochs = round(400 * tumour.fit.batch / slices) if variant.trained else 0
    classes = replace(classes, weight_separate=variant.separate, weight_agree=variant.agree)
    if variant.papers:
        tumour = replace(tumour, weight_class=1.0, weight_contrast=0.0, weight_uniform=0.0)
        classes = replace(classes, weight_uniform=0.0)
        design = replace(design, guidance="product", sharing=False)
    idle = replace(base.classifier.tumour, fit=replace(base.classifier.tumour.fit, epochs=0))
    still = replace(base.classifier.classes, fit=replace(base.classifier.classes.fit, epochs=0))
    network = replace(base.network, **vars(design), polarity="normal")
    return replace(
        base,
        name=variant.name,
        seed=seed,
        data=replace(base.data, validation=0.0),
        network=network,
        classifier=replace(base.classifier, tumour=idle, classes=still),
        aggregate=replace(
            aggregate,
            max_slices=slices,
            tumour=replace(tumour, fit=replace(tumour.fit, epochs=epochs)),
            classes=replace(classes, fit=replace(classes.fit, epochs=epochs)),
        ),
    )


def share_tumour_stage(source: Path, target: Path) -> None:
    """Copy the frozen maps and the tumour stage, which these variants have in common."""
    for part in ("maps", "aggregate_tumour"):
        if (source / part).exists() and not (target / part).exists():
            shutil.copytree(source / part, target / part)


def main() -> None:
    """Train every variant with every seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--anatomy", type=Path)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--tumour-slices", type=int, default=1600)
    asked = parser.parse_args()
    bundle = load_bundle(asked.bundle)
    how = Drawing.of(read_recipe("default").data)
    drawing = drawing_cases(asked.work / "slices", asked.cases, how, 0, anatomies=asked.anatomy)
    slices = open_slices(finish(drawing), range(-1, -1 - asked.cases, -1))
    for seed in range(asked.seeds):
        for variant in VARIANTS:
            if seed and not variant.trained:
                continue
            name = variant.name if asked.seeds == 1 else f"{variant.name}, seed {seed}"
            recipe = recipe_of(variant, bundle, seed, asked.tumour_slices)
            work = asked.work / name
            if variant.trained and not variant.papers:
                share_tumour_stage(asked.work / f"shared, seed {seed}", work)
            start = GliocamNet.of(len(bundle.info.modalities), recipe.network.design)
            start.tumour.load_state_dict(bundle.net.tumour.state_dict())
            start.classes.load_state_dict(bundle.net.classes.state_dict())
            about = replace(bundle.info, name=name, training={}, path=None)
            train_bundle(
                recipe,
                slices,
                asked.out / name,
                work_dir=work,
                about=about,
                start=start,
            )
            if variant.trained and not variant.papers:
                share_tumour_stage(work, asked.work / f"shared, seed {seed}")
            print(name, "done", flush=True)


if __name__ == "__main__":
    main()

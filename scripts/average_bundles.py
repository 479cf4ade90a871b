"""Average the classifiers of two bundles weight by weight, half and half.

    python scripts/average_bundles.py BUNDLE WENT_ON --out DIR

``WENT_ON`` was trained on from ``BUNDLE`` (``scripts/train_bundle.py --start``): only such weights
lie in one valley.  The attention networks are those of the first; train them anew afterwards.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from napari_gliocam.nets.bundle import load_bundle, save_bundle


def main() -> None:
    """Parse the command line, average, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("went_on", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    first, second = load_bundle(asked.bundle), load_bundle(asked.went_on)
    for name in ("tumour", "classes"):
        weights, others = (getattr(b.net, name).state_dict() for b in (first, second))
        mean = {
            key: value.lerp(others[key], 0.5) if value.is_floating_point() else others[key]
            for key, value in weights.items()
        }
        getattr(first.net, name).load_state_dict(mean)
    training = {"mean_of": [first.info.training, second.info.training]}
    save_bundle(first.net, replace(first.info, training=training, path=None), asked.out)


if __name__ == "__main__":
    main()

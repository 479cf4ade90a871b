"""Two processes learn as one would: the same loss curve within rounding."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from napari_gliocam.train.stages.distributed import gather_rows, mean_over_processes, world_size

TRAIN = Path(__file__).parents[1]
SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
import torch

sys.path.insert(0, sys.argv[3])
from conftest import blob_slices
from napari_gliocam.nets.bundle import BundleInfo
from napari_gliocam.train.run.fit import Machine
from napari_gliocam.train.recipe.toml_file import read_recipe
from napari_gliocam.train.run.bundle_training import train_bundle

torch.set_num_threads(1)
devices, folder = int(sys.argv[1]), Path(sys.argv[2])
recipe = read_recipe("default")


def quick(part, **more):
    # Adam makes of a rounded gradient a step of full length; SGD leaves it small.
    fit = replace(part.fit, epochs=2, batch=8, precision="32-true", optimiser="sgd", rate=0.02)
    return replace(part, fit=fit, **more)


pre, cls, agg = recipe.pretrain, recipe.classifier, recipe.aggregate
recipe = replace(
    recipe,
    data=replace(recipe.data, validation=0.3),
    # A vote that is nearly even may fall either way by a rounding.
    network=replace(recipe.network, width=4, norm="instance-affine", polarity="normal"),
    pretrain=replace(
        pre,
        tumour=quick(pre.tumour, loss="supcon"),
        classes=quick(pre.classes, loss="mulsupcon"),
    ),
    classifier=replace(cls, tumour=quick(cls.tumour), classes=quick(cls.classes)),
    aggregate=replace(
        agg,
        tumour=quick(agg.tumour, weight_class=1.0),
        classes=quick(agg.classes),
    ),
)
machine = Machine("cpu", devices, strategy="ddp" if devices > 1 else "auto")
about = BundleInfo("tiny", "blobs", "CC0-1.0")
train_bundle(
    recipe, blob_slices(43, a_case=5), folder / "bundle", work_dir=folder / "work", about=about,
    machine=machine,
)
"""

STAGES = [f"{s}_{n}" for n in ("tumour", "classes") for s in ("pretrain", "classifier")] + [
    "aggregate_tumour",
    "aggregate_classes",
]


def curve(folder, stage):
    values = {}
    (file,) = (folder / "work" / stage).glob("logs/version_*/metrics.csv")
    with file.open() as stream:
        for row in csv.DictReader(stream):
            values |= {(row["epoch"], k): float(v) for k, v in row.items() if v and "_" in k}
    return values


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("torch was built without gloo")
    folder = tmp_path_factory.mktemp("ddp")
    script = folder / "script.py"
    script.write_text(SCRIPT)
    for devices in (1, 2):
        line = [sys.executable, str(script), str(devices), str(folder / str(devices))]
        done = subprocess.run([*line, str(TRAIN)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_give_the_same_loss_curve_as_one(runs, stage):
    one, two = curve(runs / "1", stage), curve(runs / "2", stage)
    assert one.keys() == two.keys()
    assert any("train_loss" in key for key in one)
    assert any("val_loss" in key for key in one)
    for key, value in one.items():
        ranks = "auc" in key[1]  # two slices that score alike may change places
        assert two[key] == pytest.approx(value, rel=5e-3, abs=0.03 if ranks else 2e-4), key


def test_one_process_keeps_its_rows():
    rows = torch.arange(6.0).reshape(3, 2)
    assert gather_rows(rows, 3) is rows
    assert torch.equal(mean_over_processes(rows), rows)
    assert world_size() == 1

"""Two processes learn as one would: the same loss curve within rounding."""

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from napari_gliocam.io import read_case
from napari_gliocam.nets.bundle import save_bundle
from napari_gliocam.nets.bundle_info import BundleInfo, read_bundle_info
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.train.recipe.segmenter import read_segmenter_recipe
from napari_gliocam.train.recipe.toml_file import recipe_values
from napari_gliocam.train.run.request import TrainingRequest
from napari_gliocam.train.stages.distributed import gather_rows, mean_over_processes, world_size

from ..case_files import write_cases
from ..data.test_mask_set import bright, save_mask

TRAIN = Path(__file__).parents[1]
SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
import torch

sys.path.insert(0, sys.argv[3])
from conftest import blob_slices
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.train.run.fit import Machine
from napari_gliocam.train.recipe.maps import read_recipe
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
        ranks = "auc" in key[1]  # two slices that score alike may change places: a pair of 11
        assert two[key] == pytest.approx(value, rel=1e-2, abs=0.1 if ranks else 2e-4), key


SEGMENTER_SCRIPT = """
import sys
from pathlib import Path
import torch

torch.set_num_threads(1)
# Batches are normalised within each process on the CPU, which learns otherwise.
torch.nn.BatchNorm2d = lambda channels: torch.nn.InstanceNorm2d(channels, affine=True)
from napari_gliocam.nets.segmenters import build
from napari_gliocam.train.run.request import load_request
from napari_gliocam.train.run.training import run_request

build.SMALL_WIDTHS = (4, 8)
run_request(load_request(Path(sys.argv[1])), lambda event: None)
"""


def test_two_processes_teach_a_segmentation_network_as_one_would(tmp_path):
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("torch was built without gloo")
    cases = write_cases(tmp_path / "cases", 3)
    for number in range(3):
        case = read_case(cases / f"case{number}")
        save_mask(tmp_path / "masks", case, bright(case))
        save_mask(tmp_path / "second", case, bright(case) == 1)
    info = BundleInfo("tiny", "nowhere", "CC0-1.0", width=4, pixel_mm=3.0, norm="instance-affine")
    save_bundle(GliocamNet.of(3, info.design), info, tmp_path / "teacher")
    recipe = read_segmenter_recipe("small-unet")
    fit = replace(
        recipe.fit, epochs=2, batch=8, precision="32-true", optimiser="sgd", rate=0.02, average=0
    )
    data = replace(recipe.data, phantoms=0, validation=0.34)
    loss = replace(recipe.loss, seed=1.0, cross_entropy=1.0)
    script = tmp_path / "script.py"
    script.write_text(SEGMENTER_SCRIPT)
    for devices in (1, 2):
        request = TrainingRequest(
            cases=str(cases),
            masks=str(tmp_path / "masks"),
            second_masks=str(tmp_path / "second"),
            bundle=str(tmp_path / "teacher"),
            out=str(tmp_path / str(devices) / "bundle"),
            work=str(tmp_path / str(devices) / "work"),
            recipe=recipe_values(replace(recipe, fit=fit, data=data, loss=loss)),
            device="cpu",
            devices=devices,
        )
        line = [sys.executable, str(script), str(request.save())]
        done = subprocess.run(line, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert read_bundle_info(request.out_dir).segmenter is not None
    one, two = curve(tmp_path / "1", "segmenter"), curve(tmp_path / "2", "segmenter")
    assert {"train_seed", "train_cross_entropy", "val_overlap", "val_pixels"} <= {k for _, k in one}
    assert one.keys() == two.keys()
    for key, value in one.items():
        assert two[key] == pytest.approx(value, rel=5e-3, abs=2e-4), key


def test_one_process_keeps_its_rows():
    rows = torch.arange(6.0).reshape(3, 2)
    assert gather_rows(rows, 3) is rows
    assert torch.equal(mean_over_processes(rows), rows)
    assert world_size() == 1

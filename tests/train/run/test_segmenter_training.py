"""From computed masks to a bundle that segments, with tiny networks."""

import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from napari_gliocam.errors import GliocamError, TrainingError
from napari_gliocam.io import read_case
from napari_gliocam.nets.bundle import SEGMENTER_FILE, load_bundle, save_bundle
from napari_gliocam.nets.bundle_info import INFO_FILE, BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.nets.segmenters import build
from napari_gliocam.nets.segmenters.unet import UNet
from napari_gliocam.progress import finish
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.segmentation import bundle_thresholds, segment
from napari_gliocam.train.recipe.maps import read_recipe
from napari_gliocam.train.recipe.segmenter import read_segmenter_recipe
from napari_gliocam.train.recipe.toml_file import recipe_values
from napari_gliocam.train.run.events import BeforeAfter, Plan, TrainingReport
from napari_gliocam.train.run.map_training import gathering_maps
from napari_gliocam.train.run.request import TrainingRequest
from napari_gliocam.train.run.segmenter_training import gathering_segmenter
from napari_gliocam.train.run.training import run_request

from ..case_files import write_cases
from ..conftest import same_weights
from ..data.test_mask_set import bright, save_mask


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("segmenter")
    cases, masks = write_cases(root / "cases", 4), root / "masks"
    for number in range(4):
        case = read_case(cases / f"case{number}")
        save_mask(masks, case, bright(case))
    torch.manual_seed(0)
    info = BundleInfo("tiny", "nowhere", "CC0-1.0", width=4, pixel_mm=3.0)
    save_bundle(GliocamNet(width=4), info, root / "teacher")
    return cases, masks, root / "teacher"


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch):
    monkeypatch.setattr(build, "SMALL_WIDTHS", (4, 8))


def quick(**changes):
    recipe = read_segmenter_recipe("small-unet")
    fit = replace(recipe.fit, epochs=2, batch=8, precision="32-true")
    data = replace(recipe.data, phantoms=0, validation=0.25)
    return replace(recipe, fit=fit, data=data, **changes)


def quick_data(**changes):
    return replace(quick().data, **changes)


def request_of(folders, out, recipe=None, **changes):
    cases, masks, teacher = folders
    return TrainingRequest(
        cases=str(cases),
        masks=str(masks),
        bundle=str(teacher),
        out=str(out),
        recipe=recipe_values(recipe or quick()),
        device="cpu",
        **changes,
    )


def test_a_bundle_that_segments(folders, tmp_path):
    events = []
    out = run_request(request_of(folders, tmp_path / "new"), events.append)
    assert out == tmp_path / "new"
    (plan,) = (e for e in events if isinstance(e, Plan))
    assert len(plan.train) == 3
    assert len(plan.validation) == 1
    steps = [e for e in events if isinstance(e, TrainingReport)]
    assert steps[-1].step == steps[-1].steps == plan.steps["segmenter"]
    assert any("val_loss" in e.values for e in steps)
    (compared,) = (e for e in events if isinstance(e, BeforeAfter))
    assert {row.measure for row in compared.rows} == {"Dice"}

    bundle = load_bundle(out)
    assert isinstance(bundle.segmenter, UNet)
    teacher = load_bundle(folders[2])
    assert same_weights(bundle.net, teacher.net)
    case = read_case(folders[0] / "case0")
    found = segment(case, bundle=bundle, device="cpu", refinement=Refinement.nothing())
    assert found.maps.name == "Segmentation network"
    assert found.settings == bundle_thresholds(teacher.info), "as in the panel, whatever segments"
    for target in ("tumour", "core", "edema"):
        values = found.maps.of(target)
        assert values.shape == case.grid.shape
        assert 0 <= values.min() <= values.max() <= 1
        assert not values[~case.brain & (found.maps.tumour == 0)].any()
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "no outline was read" in card
    assert str(tmp_path) not in (out / INFO_FILE).read_text(encoding="utf-8")
    assert not list((out / "training").rglob("*.slices"))


def test_a_network_beside_the_maps_keeps_their_trace(folders, tmp_path):
    recipe = quick()
    recipe = replace(recipe, network=replace(recipe.network, tumour_share=0.0, class_share=0.5))
    out = run_request(request_of(folders, tmp_path / "new", recipe), lambda _: None)
    bundle = load_bundle(out)
    case = read_case(folders[0] / "case0")
    both = segment(case, bundle=bundle, device="cpu", refinement=Refinement.nothing()).maps
    assert both.from_exits
    alone = segment(
        case, bundle=load_bundle(folders[2]), device="cpu", refinement=Refinement.nothing()
    ).maps
    np.testing.assert_allclose(both.probabilities, alone.probabilities, atol=1e-5)
    np.testing.assert_allclose(both.tumour, alone.tumour, atol=2e-3)
    assert not np.allclose(both.core, alone.core, atol=0.01)
    # It belongs to these maps: fine-tuning leaves it out and says so.
    recipe = read_recipe("finetune")
    recipe = replace(recipe, data=replace(recipe.data, rehearsal=0))
    request = TrainingRequest(
        cases=str(folders[0]),
        bundle=str(out),
        out=str(tmp_path / "tuned"),
        cache=str(tmp_path / "cache"),
        recipe=recipe_values(recipe),
        device="cpu",
    )
    given = finish(gathering_maps(request))
    assert "without the segmentation network" in given.warnings[0]


def test_one_case_is_learned_from_and_none_judged_with(folders, tmp_path):
    cases = tmp_path / "cases"
    shutil.copytree(folders[0] / "case0", cases / "case0")
    recipe = quick()
    recipe = replace(recipe, fit=replace(recipe.fit, keep="best", patience=2))
    request = request_of((cases, *folders[1:]), tmp_path / "new", recipe)
    given = finish(gathering_segmenter(request, draw=False))
    assert given.plan.validation == ()
    assert (given.recipe.fit.keep, given.recipe.fit.patience) == ("last", 0)
    assert "too few to keep one" in given.plan.concerns[0]
    drawing = request_of(folders, tmp_path / "more", replace(recipe, data=quick_data(phantoms=5)))
    more = finish(gathering_segmenter(drawing, draw=False)).plan
    assert more.rehearsal > 0
    assert "5 synthetic cases" in more.words
    assert not list((tmp_path / "more").rglob("phantom-*")), "a check draws none"


def test_slices_whose_masks_disagree_are_left_out(folders, tmp_path):
    recipe = replace(quick(), data=quick_data(agreement=0.5))
    with pytest.raises(TrainingError, match="no second ones"):
        finish(gathering_segmenter(request_of(folders, tmp_path / "one", recipe)))
    second = tmp_path / "second"
    for number in range(4):
        case = read_case(folders[0] / f"case{number}")
        save_mask(second, case, bright(case) * (number > 0))
    more = {"second_masks": str(second)}
    given = finish(gathering_segmenter(request_of(folders, tmp_path / "new", recipe, **more)))
    every = finish(gathering_segmenter(request_of(folders, tmp_path / "new", quick(), **more)))
    left_out = len(every.train_rows) + len(every.validation_rows)
    left_out -= len(given.train_rows) + len(given.validation_rows)
    assert left_out > 0
    assert given.warnings == (f"{left_out} slices whose masks disagree are left out.",)


def test_a_card_says_why_nothing_was_measured(folders, tmp_path):
    cases = shutil.copytree(folders[0], tmp_path / "cases")
    for outline in cases.rglob("*_seg.nii.gz"):
        outline.unlink()
    out = run_request(request_of((cases, *folders[1:]), tmp_path / "new"), lambda _: None)
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "no patient that was kept for validation has expert labels" in card
    assert not (out / "before-after.csv").exists()


def test_a_stopped_training_goes_on_to_the_bit(folders, tmp_path):
    whole = run_request(request_of(folders, tmp_path / "whole"), lambda _: None)
    request = request_of(folders, tmp_path / "broken")

    def stop(event):
        if isinstance(event, TrainingReport) and event.step == 2:
            request.stop_file.parent.mkdir(parents=True, exist_ok=True)
            request.stop_file.touch()

    assert run_request(request, stop) is None
    assert "unfinished" in load_bundle(tmp_path / "broken").info.name
    broken = run_request(request, lambda _: None)
    assert same_weights(load_bundle(whole).segmenter, load_bundle(broken).segmenter)


def test_a_second_round_goes_on_from_the_first(folders, tmp_path):
    first = run_request(request_of(folders, tmp_path / "first"), lambda _: None)
    cases, masks, _ = folders
    recipe = quick(start="bundle")
    recipe = replace(recipe, fit=replace(recipe.fit, rate=0.0, weight_decay=0.0))
    again = run_request(
        request_of((cases, masks, first), tmp_path / "second", recipe), lambda _: None
    )
    learned = [dict(load_bundle(x).segmenter.named_parameters()) for x in (first, again)]
    for name, value in learned[0].items():
        torch.testing.assert_close(learned[1][name], value, atol=1e-3, rtol=1e-3)


def test_networks_and_recipes_that_do_not_fit_are_refused(folders, tmp_path):
    with pytest.raises(TrainingError, match="no segmentation network to go on"):
        run_request(request_of(folders, tmp_path / "a", quick(start="bundle")), lambda _: None)
    first = run_request(request_of(folders, tmp_path / "b"), lambda _: None)
    recipe = quick(start="bundle")
    recipe = replace(recipe, network=replace(recipe.network, neighbours=0))
    cases, masks, _ = folders
    with pytest.raises(TrainingError, match="does not fit"):
        run_request(request_of((cases, masks, first), tmp_path / "c", recipe), lambda _: None)


def test_another_training_in_the_same_folder_is_refused(folders, tmp_path):
    request = request_of(folders, tmp_path / "new")

    def stop(event):
        if isinstance(event, TrainingReport):
            request.stop_file.touch()

    assert run_request(request, stop) is None
    with pytest.raises(TrainingError, match="seed"):
        run_request(replace(request, recipe=recipe_values(quick(seed=3))), lambda _: None)


@pytest.mark.parametrize("what", ["missing", "damaged", "design"])
def test_a_damaged_segmenter_is_refused(folders, tmp_path, what):
    out = run_request(request_of(folders, tmp_path / "new"), lambda _: None)
    if what == "missing":
        (out / SEGMENTER_FILE).unlink()
    elif what == "damaged":
        (out / SEGMENTER_FILE).write_bytes(b"no tensors")
    else:
        raw = json.loads((out / INFO_FILE).read_text(encoding="utf-8"))
        raw["segmenter"]["architecture"] = "vnet"
        (out / INFO_FILE).write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(GliocamError, match=r"segmenter|architecture"):
        load_bundle(out)


def test_a_request_with_masks_reads_back(folders, tmp_path):
    from napari_gliocam.train.run.request import load_request

    request = request_of(folders, tmp_path / "new").absolute()
    assert asdict(load_request(request.save())) == asdict(request)

"""The session of the dock Train on a viewer without a window."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QObject

from napari_gliocam.case import Case
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.nets.bundle import Bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.progress import Progress
from napari_gliocam.train.recipe.choice import TrainingChoice
from napari_gliocam.train.run.events import BetterWeights
from napari_gliocam.train.run.request import TrainingRequest
from napari_gliocam.ui.compare.result import take_result, undo_result
from napari_gliocam.ui.jobs.work import SegmentOutcome
from napari_gliocam.ui.model.state import OpenCase
from napari_gliocam.ui.train.process import unfinished
from napari_gliocam.ui.train.session import Choices, TrainSession
from napari_gliocam.ui.train.work import look_through

from ...small_case import make_case, make_maps, write_case


@pytest.fixture
def session(qapp: Any, tmp_path: Path) -> Generator[TrainSession, None, None]:
    """A session with a segmented case in a viewer without a window."""
    parent = QObject()
    made = TrainSession(ViewerModel(), parent, folder=tmp_path / "bundles")
    opened = OpenCase(make_case())
    made.layers.add_case(opened)
    made.state.current = opened
    opened.take(opened.case, make_maps(opened.case))
    made.layers.show_result(opened)
    opened.count()
    yield made
    made.close()


def use_method(session: TrainSession) -> OpenCase:
    """Make another method's maps the result, cut far from the thresholds of the networks."""
    opened = session.state.current
    assert opened is not None
    core = np.full(opened.case.grid.shape, 0.3, dtype=np.float32)
    maps = ClassMaps.of_targets(opened.case.grid, {"core": core}, name="Method 4")
    take_result(opened, maps, 0.2, session.layers)
    return opened


def test_the_newest_weights_do_not_replace_the_result_of_a_method(session: TrainSession) -> None:
    opened = session.state.current
    assert opened is not None
    own, settings = opened.result.maps, opened.settings
    use_method(session)
    used = opened.result.maps
    session._on_segmented(opened, opened.case, SegmentOutcome(make_maps(opened.case, seed=2)))
    assert opened.result.maps is used
    undo_result(opened, session.layers)
    assert opened.result.maps is own
    assert opened.settings == settings


def test_the_newest_weights_are_shown_with_the_thresholds_of_the_case(
    session: TrainSession,
) -> None:
    opened = session.state.current
    assert opened is not None
    settings, newest = opened.settings, make_maps(opened.case, seed=2)
    session._on_segmented(opened, opened.case, SegmentOutcome(newest))
    assert opened.result.maps is newest
    assert opened.settings == settings


def broken_off(folder: Path, cases: Path) -> TrainingRequest:
    """Write the request of a training that never began."""
    request = TrainingRequest(cases=str(cases), out=str(folder), name=folder.name)
    request.save()
    return request


def test_a_training_of_another_window_is_asked_about(
    session: TrainSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_off(session.folder / "theirs", tmp_path / "cases")
    started: list[TrainingRequest] = []
    monkeypatch.setattr(session.process, "start", started.append)
    asked: list[TrainingRequest] = []
    session.resume_asked.connect(asked.append)
    assert not session.resume()
    assert not started
    assert asked[0].outside == (str(tmp_path / "cases"),)
    assert session.resume_anyway(asked[0])
    assert session.resume(), "now it is this window's own"
    assert len(started) == 2
    assert len(asked) == 1


def test_a_segmentation_network_learns_from_masks_outside_the_cases(
    session: TrainSession, tmp_path: Path
) -> None:
    cases = tmp_path / "cases"
    cases.mkdir()
    session.tagging.folder = cases
    training = TrainingChoice(epochs=3, batch=4, rate=0.01)
    choices = Choices(training, "mine", network="fcn")
    request = session.request(choices)
    assert Path(request.masks).parent == session.folder.parent / "masks"
    assert request.recipe["network"]["architecture"] == "fcn"
    fit = request.recipe["fit"]
    assert (fit["epochs"], fit["batch"], fit["rate"]) == (3, 4, 0.01)
    assert session.request(replace(choices, masks=tmp_path / "own")).masks == str(tmp_path / "own")
    assert not request.second_masks
    agreeing = session.request(replace(choices, agreement=True))
    assert agreeing.second_masks not in ("", agreeing.masks)
    assert agreeing.recipe["data"]["agreement"] > 0
    other = session.masks_of(tmp_path / "other" / "cases")
    assert other != Path(request.masks), "folders of one name have masks of their own"
    assert not session.request(Choices(training, "mine")).masks


def test_nothing_outside_the_bundles_folder_is_resumed(
    session: TrainSession, tmp_path: Path
) -> None:
    broken_off(tmp_path / "elsewhere", tmp_path / "cases")
    session.folder.mkdir()
    (session.folder / "link").symlink_to(tmp_path / "elsewhere")
    assert unfinished(session.folder) == []


def test_events_name_no_weights_outside_the_bundle(
    session: TrainSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.process.request = TrainingRequest(cases="", out=str(session.folder / "own"))
    shown: list[Path] = []
    monkeypatch.setattr(session, "_show_newest", shown.append)
    session._on_event(BetterWeights(str(tmp_path / "elsewhere")))
    assert not shown
    session._on_event(BetterWeights(str(session.folder / "own" / "best")))
    assert shown


def test_a_case_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    write_case(make_case("BraTS2021_00000"), tmp_path / "cases" / "BraTS2021_00000")
    other = write_case(make_case("BraTS2021_00001"), tmp_path / "cases" / "BraTS2021_00001")
    for file in other.glob("*t2*"):
        file.rename(file.with_name("BraTS2021_00001_flair_2.nii.gz"))
    found = look_through(tmp_path / "cases", tmp_path / "labels.csv")
    assert [files.name for files in found.cases] == ["BraTS2021_00000"]
    (sentence,) = found.warnings
    assert "BraTS2021_00001" in sentence


def test_the_mask_of_the_case_in_view_is_shown(
    session: TrainSession, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make_case()
    write_case(case, tmp_path / "cases" / case.name)
    session.tagging.take(look_through(tmp_path / "cases", tmp_path / "labels.csv"))
    choices = Choices(TrainingChoice(), "mine", network="small-unet")
    bundle = Bundle(BundleInfo("made", "for a test", "CC0-1.0"), None)  # type: ignore[arg-type]
    monkeypatch.setattr("napari_gliocam.nets.bundle.load_bundle", lambda path=None: bundle)

    def made(case: Case, **given: object) -> Generator[Progress, None, ClassMaps]:
        yield Progress(1, 1, "running the networks")
        return make_maps(case)

    monkeypatch.setattr("napari_gliocam.train.labels.pseudo.compute_maps", made)
    before = len(session.viewer.layers)
    assert session.show_mask(choices) is not None
    qtbot.waitUntil(lambda: len(session.viewer.layers) > before, timeout=20_000)
    (file,) = Path(session.request(choices).masks).rglob("*_seg.nii.gz")
    assert session.viewer.layers[-1].data.any()
    stamp = file.stat().st_mtime_ns
    session.show_mask(choices)
    qtbot.waitUntil(lambda: session.jobs.running("work") is None, timeout=20_000)
    assert file.stat().st_mtime_ns == stamp, "a mask that is there stays"

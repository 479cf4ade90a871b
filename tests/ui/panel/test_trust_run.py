"""The range and the doubt of the case in work follow its labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QObject

from napari_gliocam.settings import Thresholds
from napari_gliocam.ui.jobs.jobs import Jobs
from napari_gliocam.ui.model.state import OpenCase, State
from napari_gliocam.ui.panel import trust_run
from napari_gliocam.ui.panel.trust_run import CaseTrust
from napari_gliocam.ui.viewer.navigate import MEASURING

from ...small_case import make_case, make_maps


@pytest.fixture
def opened() -> OpenCase:
    case = make_case()
    opened = OpenCase(case)
    opened.take(case, make_maps(case))
    return opened


@pytest.fixture
def run(qtbot: Any, opened: OpenCase, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(trust_run, "REST_MS", 10)
    parent, state = QObject(), State()
    jobs = Jobs(ViewerModel(), parent, state.fail)
    run = CaseTrust(state, jobs)
    state.current = opened
    yield run
    run.close()
    jobs.close()
    parent.deleteLater()


def test_it_is_measured_at_rest_and_again_for_other_labels(
    qtbot: Any, run: CaseTrust, opened: OpenCase
) -> None:
    run._state.message = MEASURING
    qtbot.waitUntil(lambda: opened.trust is not None, timeout=20_000)
    assert run._state.message is None, "it is measured now"
    first = opened.trust
    assert first is not None
    assert opened.result is not None
    assert first.ranges["core"].volume == pytest.approx(opened.result.volumes_ml["core"])
    assert first.slices
    opened.settings = Thresholds(0.6, 0.6)
    opened.take(opened.case, opened.result.maps)
    assert opened.trust is None, "nothing is said of labels that are gone"
    qtbot.waitUntil(lambda: opened.trust is not None, timeout=20_000)
    assert opened.trust is not first


def test_maps_of_another_method_have_no_range(qtbot: Any, run: CaseTrust, opened: OpenCase) -> None:
    qtbot.waitUntil(lambda: opened.trust is not None, timeout=20_000)
    assert opened.result is not None
    opened.use(replace(opened.result.maps, name="GradCAM 4"), Thresholds())
    qtbot.wait(500)
    assert opened.trust is None

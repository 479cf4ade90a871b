"""Occlusion sensitivity: where a box hides what the network saw, the logit drops."""

from __future__ import annotations

import pytest
import torch

from napari_gliocam.cams.methods.base import finish_steps
from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
from napari_gliocam.cams.methods.occlusion import Occlusion
from napari_gliocam.targets import TARGETS


def test_a_value_is_the_drop_of_the_logit_under_its_box(batch):
    method, explained = Occlusion(box=8, stride=4), ExplainedLayer(4)
    one = batch.one(1)
    found = method.maps(one, TARGETS, explained)
    assert found.shape == (3, 1, 12, 8)
    row, column = 5, 3
    hidden = one.images.clone()
    hidden[:, :, 4 * row + 2 - 4 : 4 * row + 2 + 4, 4 * column + 2 - 4 : 4 * column + 2 + 4] = 0
    for number, target in enumerate(TARGETS):
        index = max(number - 1, 0)
        whole, less = (one.scores(target, x, 0, (4,))[0, index] for x in (one.images, hidden))
        drop = (whole - less).relu()
        torch.testing.assert_close(found[number, 0, row, column], drop.detach(), atol=1e-5, rtol=0)


def test_boxes_in_air_are_not_tried(batch):
    found = Occlusion(box=4, stride=4).maps(batch.one(0), ("tumour",), ExplainedLayer(4))
    assert found[0, 0, 0, 0] == 0
    assert (found >= 0).all()
    assert found.max() > 0


def test_the_work_can_be_stopped_between_chunks(batch, monkeypatch):
    monkeypatch.setattr("napari_gliocam.cams.methods.occlusion.CHUNK", {"cpu": 5})
    steps = Occlusion().steps(batch.one(0), TARGETS, ExplainedLayer(4))
    step = next(steps)
    assert 0 < step.done < step.total
    part = step.so_far()
    whole = finish_steps(steps)
    assert (part <= whole + 1e-6).all()
    with pytest.raises(ValueError, match="one slice"):
        next(Occlusion().steps(batch, TARGETS, ExplainedLayer(4)))

"""The chart of a training, alone."""

from __future__ import annotations

from typing import Any

from napari_gliocam.ui.train.chart import TrainChart


def test_curves_come_with_a_legend_that_stands_beside_them(qtbot: Any) -> None:
    chart = TrainChart()
    qtbot.addWidget(chart)
    assert chart.legend.isHidden()
    values = {"train_loss": 0.5, "val_loss": 0.6, "val_auc_core": 0.97, "val_auc_edema": 0.98}
    chart.add("classifier.classes", 0, values)
    assert not chart.curves, "an epoch that has not ended is no point"
    for epoch in (1, 2):
        chart.add("classifier.classes", epoch, {**values, "rate": 1e-4})
    assert "AUC&nbsp;core" in chart.legend.text()
    assert "loss" in chart.legend.text()
    assert "rate" not in chart.legend.text()
    for plot in chart.plots.values():
        assert plot.getPlotItem().legend is None
        assert not plot.getAxis("left").autoSIPrefix
    low, high = chart.plots["AUC"].viewRange()[1]
    assert low < 0.9 < 1.0 <= high
    lines = chart.plots["Loss"].listDataItems()
    assert [line.opts["pen"].style().name for line in lines] == ["DashLine", "SolidLine"]


def test_the_stage_that_was_chosen_stays(qtbot: Any) -> None:
    chart = TrainChart()
    qtbot.addWidget(chart)
    chart.add("classifier.tumour", 1, {"train_loss": 1.0})
    chart.add("classifier.classes", 1, {"train_loss": 1.0})
    assert chart.stage.currentText() == "Classifier, core and edema"
    chart.stage.setCurrentIndex(0)
    chart.stage.activated.emit(0)
    chart.add("aggregate.tumour", 1, {"train_loss": 1.0})
    assert chart.stage.currentText() == "Classifier, tumour"
    chart.clear()
    assert chart.stage.count() == 0
    assert chart.legend.isHidden()

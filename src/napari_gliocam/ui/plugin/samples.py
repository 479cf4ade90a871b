"""npe2 sample data: synthetic cases with their own truth, made when they are asked for."""

from __future__ import annotations

from napari_gliocam.ui.viewer.layer_data import LayerData, case_data


def enhancing() -> list[LayerData]:
    """Draw a tumour with an enhancing core and edema."""
    return _sample("enhancing")


def low_grade() -> list[LayerData]:
    """Draw a tumour whose core does not enhance."""
    return _sample("low-grade")


def healthy() -> list[LayerData]:
    """Draw a brain without a tumour."""
    return _sample("healthy")


def _sample(kind: str) -> list[LayerData]:
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QApplication

    from napari_gliocam.ui.jobs import work
    from napari_gliocam.ui.jobs.engine import engine
    from napari_gliocam.ui.model.state import OpenCase
    from napari_gliocam.ui.plugin.commands import bind_keys

    bind_keys()
    app = QApplication.instance()
    if isinstance(app, QApplication):
        app.setOverrideCursor(Qt.CursorShape.WaitCursor)
    try:
        return case_data(OpenCase(engine().run_alive(lambda: work.phantom(kind), "The sample")))
    finally:
        if isinstance(app, QApplication):
            app.restoreOverrideCursor()

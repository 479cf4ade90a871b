"""The real networks in the real window; the bundle that ships, or random weights before it does."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from napari_gliocam.nets.bundle import save_bundle
from napari_gliocam.nets.bundle_info import INFO_FILE, BundleInfo, bundled_path
from napari_gliocam.ui.jobs import work
from napari_gliocam.ui.jobs.engine import engine, files
from napari_gliocam.ui.jobs.triton_guard import keep_triton_out
from napari_gliocam.ui.plugin import preference


@pytest.fixture(autouse=True)
def _preferences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written to the user's own preferences."""
    made = SimpleNamespace(extension2reader={})
    monkeypatch.setattr(preference, "get_preferences", lambda: made)


@pytest.fixture(autouse=True)
def _quiet_engines() -> Generator[None, None, None]:
    """No job of one test runs into the next."""
    yield
    for one in (engine(), files()):
        one.cancel_all()
        assert one.wait_idle(30)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle's folder."""
    if (bundled_path() / INFO_FILE).is_file():
        return bundled_path()
    folder = tmp_path_factory.mktemp("bundle") / "random"

    def make() -> None:
        keep_triton_out()
        from napari_gliocam.nets.gliocam import GliocamNet

        info = BundleInfo("random", "Random weights, for a test.", "BSD-3-Clause", width=16)
        save_bundle(GliocamNet.of(len(info.modalities), info.design), info, folder)

    engine().run(make)
    return folder


@pytest.fixture
def small_phantom(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample cases on a coarser grid, to save time."""

    def phantom(kind: Any, seed: int = 0) -> Any:
        keep_triton_out()
        from napari_gliocam.phantom import make_phantom

        return make_phantom(kind, seed, shape=(31, 160, 160), spacing=(5.0, 1.5, 1.5))

    monkeypatch.setattr(work, "phantom", phantom)


@pytest.fixture
def gliocam(make_napari_viewer_proxy: Any, bundle: Path, qtbot: Any) -> Any:
    """A viewer with the panel docked: ``.viewer``, ``.panel``, ``.state``."""
    viewer = make_napari_viewer_proxy()
    _, panel = viewer.window.add_plugin_dock_widget("napari-gliocam", "Gliocam")
    panel = getattr(panel, "__wrapped__", panel)
    panel.session.set_bundle(bundle)
    panel.state.message = None
    return SimpleNamespace(viewer=viewer, panel=panel, state=panel.state)


@pytest.fixture
def real_case() -> Path:
    """A folder of a real BraTS case, which is not part of the project."""
    folder = Path(__file__).parents[2].parent / "shared" / "cases"
    found = sorted(folder.glob("BraTS2021_*")) if folder.is_dir() else []
    if not found:
        pytest.skip(f"no real cases: {folder} is not there")
    return found[0]

"""What every test stands on: no home folder, no settings, one thread for numbers, no network."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings

# Before napari, Qt or torch are imported: they read these once.
_HOME = Path(tempfile.mkdtemp(prefix="gliocam-tests-"))
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ |= {
    "HOME": str(_HOME),
    "XDG_CONFIG_HOME": str(_HOME / "config"),
    "XDG_CACHE_HOME": str(_HOME / "cache"),
    "XDG_DATA_HOME": str(_HOME / "data"),
    "NAPARI_CONFIG": "",  # settings are neither read nor written
    "QT_LOGGING_RULES": "*.debug=false",
}
# Two groups of tests run side by side; more threads than cores wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("QT_QPA_PLATFORM", None)  # the "offscreen" platform cannot draw OpenGL

# A shared machine is slow at times, and what fails should fail again in the next run.
settings.register_profile("gliocam", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("gliocam")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let a test be skipped by a fixture after napari's viewer was made.

    napari's fixture asks how the test went, also where it never began.
    """
    item.rep_call = SimpleNamespace(failed=False)  # type: ignore[attr-defined]


#: Real cases with expert labels, beside the repository; for validation only.
SHARED_CASES = Path(__file__).parents[2] / "shared" / "cases"


@pytest.fixture(scope="session")
def shared_cases() -> Path:
    """The folder of real cases, or a skip where it is not there."""
    if not SHARED_CASES.is_dir():
        pytest.skip("the real cases (../shared/cases) are not on this machine")
    return SHARED_CASES

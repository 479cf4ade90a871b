"""Layers are made beside the window's thread, too."""

from __future__ import annotations

import subprocess
import sys

THREADS = """
from concurrent.futures import ThreadPoolExecutor
from napari_gliocam.ui.viewer.layer_data import load_units, warm_up
{first}
with ThreadPoolExecutor(4) as pool:
    for done in [pool.submit(warm_up) for _ in range(4)]:
        done.result()
"""


def test_units_are_whole_before_several_threads_make_layers() -> None:
    code = THREADS.format(first="load_units()")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

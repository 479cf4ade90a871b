"""Layers are made beside the window's thread, too."""

from __future__ import annotations

import subprocess
import sys
import warnings

from skimage.color import lab2rgb

from napari_gliocam.ui.viewer.layer_data import ready_for_threads

THREADS = """
from concurrent.futures import ThreadPoolExecutor
from napari_gliocam.ui.viewer.layer_data import ready_for_threads, warm_up
{first}
with ThreadPoolExecutor(4) as pool:
    for done in [pool.submit(warm_up) for _ in range(4)]:
        done.result()
"""


def test_units_are_whole_before_several_threads_make_layers() -> None:
    code = THREADS.format(first="ready_for_threads()")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_colours_of_labels_warn_of_nothing_while_another_thread_makes_some() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ready_for_threads()
        lab2rgb([[[10.0, 100.0, 100.0]]])  # as where another thread takes napari's own filter back

"""Files of a work folder that are made once, by one of all processes that train together."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lightning import Fabric
from safetensors import SafetensorError

from napari_gliocam.train.run.fit import first_process

T = TypeVar("T")

#: Errors of files that are missing or damaged; RuntimeError is torch's for weights of other shapes.
DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    SafetensorError,
)


def made_once(
    fabric: Fabric | None, file: Path, make: Callable[[], object], read: Callable[[Path], T]
) -> T:
    """Read a file of the work folder, after the first process has made it.

    Parameters
    ----------
    fabric : Fabric or None
        Lets the other processes wait; None where there is one alone.
    file : Path
        The file, or a folder.
    make : callable
        Makes the file where it is missing or damaged; called in the first process only.
    read : callable
        Reads the file.
    """
    if first_process():
        try:
            read(file)
        except DAMAGED:
            make()
    if fabric is not None:
        fabric.barrier()
    return read(file)

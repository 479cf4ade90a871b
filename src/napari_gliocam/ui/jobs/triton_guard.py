"""Keeps Triton's LLVM away from Mesa's.

Where OpenGL is drawn by software (Mesa's llvmpipe: a virtual screen, a remote desktop), the
window has loaded libLLVM.  Triton, which torch's CUDA wheels for Linux bring along and
torchvision imports, carries another one; loading it then ends the process with a segmentation
fault (measured: torch 2.15, triton from PyPI, Mesa with LLVM 15).  Nothing here is compiled by
Triton, and torch does without it when it cannot be imported.
"""

from __future__ import annotations

import sys
from pathlib import Path

_MAPS = Path("/proc/self/maps")


def keep_triton_out() -> bool:
    """Make ``import triton`` fail in this process where it would end it; True if it does."""
    if "triton" in sys.modules:  # loaded before the window, which is safe, or kept out already
        return sys.modules["triton"] is None
    if not _mesa_llvm_loaded():
        return False
    sys.modules["triton"] = None  # type: ignore[assignment]
    return True


def _mesa_llvm_loaded() -> bool:
    try:
        return "libLLVM" in _MAPS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False  # not Linux

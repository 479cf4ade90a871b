"""Synthetic cases: procedural or licensed anatomy, 3-D tumours, contrast, acquisition."""

from __future__ import annotations

from typing import Any

_PUBLIC = {
    "make_phantom": "sample",
    "PHANTOM_KINDS": "sample",
    "write_phantoms": "write",
}

__all__ = ["PHANTOM_KINDS", "make_phantom", "write_phantoms"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)

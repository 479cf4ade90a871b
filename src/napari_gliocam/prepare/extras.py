"""Packages that come with the extras ``prepare`` and ``dicom``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from napari_gliocam.errors import GliocamError


def import_simpleitk(purpose: str) -> Any:
    """Import SimpleITK, or raise a `GliocamError` that names the extra ``prepare``.

    Parameters
    ----------
    purpose : str
        What it is needed for, such as ``"align two series"``.
    """
    return _import("SimpleITK", "SimpleITK", "prepare", purpose)


def import_pydicom(purpose: str) -> Any:
    """Import pydicom, or raise a `GliocamError` that names the extra ``dicom``."""
    return _import("pydicom", "pydicom", "dicom", purpose)


def import_highdicom(purpose: str) -> Any:
    """Import highdicom, or raise a `GliocamError` that names the extra ``dicom``."""
    return _import("highdicom", "highdicom", "dicom", purpose)


def _import(module: str, title: str, extra: str, purpose: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise GliocamError(
            f"{title} is needed to {purpose}; install it: pip install 'napari-gliocam[{extra}]'."
        ) from error

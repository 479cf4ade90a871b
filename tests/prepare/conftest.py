"""The extras ``prepare`` and ``dicom``: without them their tests are not collected."""

from __future__ import annotations

from importlib.util import find_spec

_NEEDS = {
    "test_align.py": ("SimpleITK",),
    "test_run.py": ("SimpleITK",),
    "test_images.py": ("SimpleITK",),
    "test_dicom_scan.py": ("SimpleITK", "pydicom"),
    "test_dicom_out.py": ("pydicom", "highdicom"),
}
collect_ignore = [name for name, needs in _NEEDS.items() if not all(map(find_spec, needs))]

"""Finding and reading cases, writing results."""

from napari_gliocam.io import schemes
from napari_gliocam.io.find import CaseFiles, case_of_files, find_case, find_cases
from napari_gliocam.io.read import LabelFile, read_case, read_labels
from napari_gliocam.io.write import save_maps, save_segmentation, suggested_name

__all__ = [
    "CaseFiles",
    "LabelFile",
    "case_of_files",
    "find_case",
    "find_cases",
    "read_case",
    "read_labels",
    "save_maps",
    "save_segmentation",
    "schemes",
    "suggested_name",
]

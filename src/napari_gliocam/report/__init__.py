"""A reading of a case as a page to print, with csv and json beside it.

Examples
--------
>>> reading = read_segmentation(case, segmentation)            # doctest: +SKIP
>>> save_reading(reading, Path("reports"))                     # doctest: +SKIP
"""

from napari_gliocam.report.page import make_page
from napari_gliocam.report.reading import Reading, read_segmentation, reading_segmentation
from napari_gliocam.report.save import report_files, save_reading, save_table

__all__ = [
    "Reading",
    "make_page",
    "read_segmentation",
    "reading_segmentation",
    "report_files",
    "save_reading",
    "save_table",
]

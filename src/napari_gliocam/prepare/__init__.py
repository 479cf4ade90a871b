"""From a scanner's series to a case, and back to each series."""

from napari_gliocam.prepare.examination import Examination, find_examination
from napari_gliocam.prepare.run import Steps, prepare, preparing
from napari_gliocam.prepare.series import Series

__all__ = ["Examination", "Series", "Steps", "find_examination", "prepare", "preparing"]

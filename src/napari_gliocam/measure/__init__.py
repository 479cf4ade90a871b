"""Figures that say how good a segmentation is."""

from napari_gliocam.measure.overlap import dice, score

__all__ = ["dice", "score"]

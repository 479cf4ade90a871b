"""Refinement of a segmentation: dense CRF, BoundaryFit, connected components."""

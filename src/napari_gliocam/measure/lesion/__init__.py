"""Measure lesions: volumes, diameters, shape, areas by slice."""

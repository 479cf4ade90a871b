"""Segmentation networks: learned from masks that the maps made, not from outlines."""

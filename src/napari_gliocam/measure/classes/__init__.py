"""Relate the classes: their overlap, and the reading of one voxel."""

"""Slices for training: indexed, cached, drawn, augmented and batched."""

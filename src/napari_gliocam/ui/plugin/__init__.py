"""Entry points that the napari manifest names."""

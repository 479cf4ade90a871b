"""The napari viewer: layers, navigation, painting."""

"""The window: the only rooms that import Qt or napari.

Nothing here imports torch; what needs it is imported by the functions in `work`, which run
on the engine's thread.
"""

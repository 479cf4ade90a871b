"""Maps of the targets: raw as a method made them, ready to be cut, and smoothed over slices."""

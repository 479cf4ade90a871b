"""The dock "Gliocam": case, Segment, thresholds, refinement, maps, results."""

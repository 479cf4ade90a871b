"""Run explanation methods over the slices of a case."""

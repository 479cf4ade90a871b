"""Training with image-level labels only: synthetic slices, exits, aggregators."""

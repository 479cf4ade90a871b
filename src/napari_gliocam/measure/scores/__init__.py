"""Scores of labels against reference labels: overlap, distances, image level."""

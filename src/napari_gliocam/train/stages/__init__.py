"""Stages of a training: pre-training, classifiers, aggregators and their losses."""

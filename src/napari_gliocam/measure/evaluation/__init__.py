"""Evaluate methods over cases: records, summaries, tests, baselines."""

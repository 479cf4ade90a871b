"""Threads and the work that runs on them."""

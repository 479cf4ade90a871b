"""Run a training from request to bundle, in this process or another."""

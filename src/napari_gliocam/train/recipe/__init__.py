"""Recipes: every choice of a training as plain values, read from TOML."""

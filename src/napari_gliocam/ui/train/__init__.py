"""The dock "Train": tags, fine-tuning, bundles."""

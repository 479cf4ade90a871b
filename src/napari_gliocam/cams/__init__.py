"""Class activation maps: one method a file."""

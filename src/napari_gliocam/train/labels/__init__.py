"""Image-level labels: tags of slices, and the tables that hold them."""

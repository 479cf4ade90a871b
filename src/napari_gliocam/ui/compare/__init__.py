"""The dock "Compare CAMs"."""

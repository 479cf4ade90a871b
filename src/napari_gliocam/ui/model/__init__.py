"""State of the window without Qt: open cases and their results."""

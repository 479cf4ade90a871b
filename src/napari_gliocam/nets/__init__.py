"""Networks of papers 1 and 2 and the bundle that holds their weights."""

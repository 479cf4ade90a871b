"""Compare and combine several methods on one case."""

"""Studies: methods and bundles compared over a cohort, as the papers' tables do."""

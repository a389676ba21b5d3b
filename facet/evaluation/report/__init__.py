"""Documents, pages, plots and comparisons of evaluations."""

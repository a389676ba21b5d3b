"""``facet models compare``: two recognition models on the same faces."""

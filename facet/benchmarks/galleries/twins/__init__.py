"""``facet bench twins``: people who look alike, told apart."""

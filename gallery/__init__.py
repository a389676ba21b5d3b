"""Templates in, ranked subjects out: records, stores, indexes, ranking, thresholds. Knows no pictures."""

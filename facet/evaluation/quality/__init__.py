"""What quality predicts: error against the share of faces that is discarded."""

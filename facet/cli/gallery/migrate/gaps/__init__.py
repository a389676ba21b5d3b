"""Templates that miss an embedding: listed, and filled from the original pictures."""

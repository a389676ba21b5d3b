"""Error rates by groups of people."""

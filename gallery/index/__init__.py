"""What is searched: segments in memory, binary codes, candidate search."""

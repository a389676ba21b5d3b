"""Search of a gallery in memory: exact for small galleries, binary codes and candidate search for large ones."""

"""How a model runs: sessions, model files and their digests, and the decoding of pictures."""

"""The embeddings of templates under a second contract, in the SQLite store."""

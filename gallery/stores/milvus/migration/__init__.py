"""Galleries in Milvus whose templates have embeddings under two contracts."""

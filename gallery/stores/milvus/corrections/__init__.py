"""Merges, moves, and people who were told apart, in Milvus."""

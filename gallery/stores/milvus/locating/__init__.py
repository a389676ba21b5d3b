"""Finds the rows of galleries in Milvus, and tells which of them have expired."""

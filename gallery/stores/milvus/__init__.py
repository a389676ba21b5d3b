"""Galleries in a Milvus that several servers share."""

"""The Milvus store: galleries that several servers share."""

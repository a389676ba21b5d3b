"""``facet bench milvus``: a gallery stored in Milvus, and a temporary server for it."""

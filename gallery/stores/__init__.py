"""Where galleries are stored: the contract of a store, SQLite, and Milvus."""

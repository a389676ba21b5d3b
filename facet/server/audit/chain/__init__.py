"""The log of entries that are chained by hashes: its files, its entries, and its head."""

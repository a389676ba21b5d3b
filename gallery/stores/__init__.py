"""Where galleries are kept: the contract, and one folder a store."""

"""Records of erasures, and the search for the bytes of what was erased."""

"""A long load of every kind, to see whether a server's memory, threads and descriptors stay flat."""

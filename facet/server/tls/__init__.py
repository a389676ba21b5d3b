"""TLS: the server's certificate, the authorities that sign certificates of clients, and who a client is."""

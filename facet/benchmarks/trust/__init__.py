"""What protection costs: TLS and keys, encryption at rest, the audit log, and how fast a key is revoked."""

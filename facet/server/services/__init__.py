"""The gRPC services: what each RPC does."""

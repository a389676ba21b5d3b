"""The gRPC server: configuration, the engine behind it, servicers, and what stands between them and a call."""

"""The gRPC server: configuration, the pipeline behind it, servicers, and what stands between them and a call."""

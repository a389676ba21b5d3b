"""PostgreSQL as a store of galleries, for tests and benchmarks."""

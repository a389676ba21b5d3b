"""The Parquet file of an exported gallery: written, verified and read. docs/galleries.md describes it."""

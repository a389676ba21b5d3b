"""Generated from proto/facet/v1 by scripts/generate_protos.py."""

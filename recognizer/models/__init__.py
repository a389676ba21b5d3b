"""The models of the pipeline: files and packs that become sessions."""

"""Commands for model files: fetch upstream models, export YOLO models."""

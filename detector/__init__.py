"""Detects objects in a picture with YOLO models."""

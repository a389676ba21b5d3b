"""A picture in, objects out: YOLO."""

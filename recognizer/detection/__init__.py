"""Face detection: SCRFD or a YOLO face model, over the frame and inside persons."""

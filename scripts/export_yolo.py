"""Export an Ultralytics YOLO model to an ONNX file that the detector loads."""

from facet.cli.models.export_yolo import app

if __name__ == "__main__":
    app()

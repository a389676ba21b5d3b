"""Inference: how models run, with ONNX Runtime or OpenVINO."""

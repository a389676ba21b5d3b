"""Model files, inference sessions, decoding of pictures, and settings of the process.

The inference engines collect usage data for their publishers from the moment they are loaded: ONNX Runtime from version
1.31 on in a database in the home folder, OpenVINO with its package openvino-telemetry, which sends an event to Google
Analytics. Both are turned off here, before any module of this room loads an engine.
"""

import os
import sys

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # OpenVINO then takes it as not installed

"""Settings that hold for a whole process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

PROGRAM = """
import json, os
import cv2, numpy
from PIL import Image
from threadpoolctl import threadpool_info
{imports}

def state():
    blas = max(pool["num_threads"] for pool in threadpool_info())
    return [cv2.getNumThreads(), Image.MAX_IMAGE_PIXELS, blas, os.environ.get("OPENCV_FFMPEG_LOGLEVEL")]

{call}
print(json.dumps(state()))
"""


def state(imports: str, call: str = "") -> str:
    program = PROGRAM.format(imports=imports, call=call)
    environment = {name: value for name, value in os.environ.items() if name != "OPENCV_FFMPEG_LOGLEVEL"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_no_import_changes_the_settings_of_the_process() -> None:
    ours = (
        "import facet.server.app, facet.runtime.inference.openvino_session, facet.camera.source, facet.runtime.process"
    )
    assert state(ours) == state("import openvino, onnxruntime, faiss")


def test_models_run_on_the_threads_that_call_them() -> None:
    configured = state("from facet.runtime.process import configure_for_models", "configure_for_models()")
    assert configured == "[1, null, 1, null]"


def test_a_process_that_only_decodes_has_no_pixel_limit_and_keeps_its_threads() -> None:
    before = json.loads(state(""))
    after = json.loads(state("from facet.runtime.process import configure_for_pictures", "configure_for_pictures()"))
    assert after == [before[0], None, *before[2:]]


def test_video_is_read_without_logs_of_ffmpeg() -> None:
    configured = state("from facet.runtime.process import configure_for_video", "configure_for_video()")
    assert configured.endswith('"-8"]')

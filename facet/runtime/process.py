"""Settings that hold for a whole process. A program makes them once, when it starts."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

import cv2
from PIL import Image
from threadpoolctl import threadpool_limits

_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 4 * 2**20


def configure_for_models() -> None:
    """Prepare a process that decodes pictures, runs models or searches galleries.

    Call it after the imports: it reaches only the BLAS and OpenMP libraries that are already loaded.

    - OpenCV, BLAS and OpenMP work on the thread that calls them. Their own threads keep spinning after a call and take
      the cores from the next one: on two cores, embedding was half as fast after a search for two probes.
    - Pillow has no pixel limit of its own, see :func:`configure_for_pictures`.
    - Freed buffers of 4 MiB and more go back to the system at once.
    """
    cv2.setNumThreads(1)
    threadpool_limits(1)
    configure_for_pictures()
    _return_large_buffers()


def configure_for_pictures() -> None:
    """Prepare a process that only decodes pictures or reads their headers.

    - Pillow has no pixel limit of its own: every call of :func:`facet.runtime.pictures.decode` and
      :func:`facet.runtime.pictures.read_header` has one.
    - OpenCV logs nothing: what is wrong with a picture is raised.
    """
    Image.MAX_IMAGE_PIXELS = None
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def configure_for_video() -> None:
    """Prepare a process that reads video: OpenCV and FFmpeg log nothing.

    FFmpeg would log addresses with their passwords, and a line for each damaged picture. Call it before the first
    capture is opened. A value of ``OPENCV_FFMPEG_LOGLEVEL`` in the environment is kept.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def _return_large_buffers() -> None:
    """Fix the size from which glibc gives freed buffers back; do nothing with other C libraries.

    By default glibc raises it to the largest buffer freed so far and keeps smaller ones. Pictures of different sizes
    then leave holes, and resident memory moves by a twentieth for as long as the process runs.
    """
    with suppress(OSError, AttributeError, TypeError):  # TypeError: Windows has no CDLL(None)
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)

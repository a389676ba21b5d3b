"""A decoder: a process that decodes one picture after the other for a pool, and ends with it."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import cv2

from facet.runtime.decoders import limits, messages
from facet.runtime.pictures.decoding import pixels_of, placement, walk
from facet.runtime.pictures.errors import PictureError, PictureTooLarge

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 32 * 2**20


def main() -> None:
    """Decode until the pool closes its end of the socket. The argument is its descriptor."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the pool decides, and it may still finish its last pictures
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # out of memory, the system should end a decoder and not the server
        Path("/proc/self/oom_score_adj").write_text("500")
    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    library = ctypes.CDLL(None)
    _keep_buffers(library)
    baseline = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    pool = socket.socket(fileno=int(sys.argv[1]))
    pool.send(messages.READY)
    while True:
        message, descriptors, _, _ = socket.recv_fds(pool, messages.MAX_MESSAGE_BYTES, 1)
        if not message:
            return
        request, buffer = messages.Request.parsed(message), descriptors[0]
        allowed = baseline + limits.memory_bytes(request.max_pixels, request.length)
        _limit_memory(allowed)
        reply, pixels = _answer(request, buffer)
        os.close(buffer)
        pool.send(reply)
        if pixels > limits.LARGE_PIXELS:
            library.malloc_trim(0)


def _answer(request: messages.Request, buffer: int) -> tuple[bytes, int]:
    """The reply, and the number of pixels. The kernel ends the process if it uses too much processor time."""
    signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds(0, request.length))
    try:
        data = os.pread(buffer, request.length, 0)
        layout = walk(data, max_pixels=request.max_pixels, longer_side=request.longer_side)
        place, pixels = placement(layout), max(layout.width * layout.height, layout.coded_pixels)
        if pixels > request.room:
            return messages.Size(layout.height, layout.width, is_decoded=False, placement=place).encoded(), 0
        all_pixels = max(pixels, layout.header.width * layout.header.height)  # those of a reduced one are read, too
        signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds(all_pixels, request.length))
        picture = pixels_of(layout)
        rest, position = picture.reshape(-1).data, 0
        while rest:
            written = os.pwrite(buffer, rest, position)
            rest, position = rest[written:], position + written
    except PictureError as error:
        return messages.refused(error), 0
    except MemoryError:
        return messages.refused(PictureTooLarge("the picture needs too much memory to decode: reduce its size")), 0
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    height, width = picture.shape[:2]
    return messages.Size(height, width, is_decoded=True, placement=place).encoded(), pixels


def _limit_memory(allowed: int) -> None:
    """Limit the address space to so many bytes, or to what the server itself may have if that is less."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (allowed if hard == resource.RLIM_INFINITY else min(allowed, hard), hard))


def _keep_buffers(library: ctypes.CDLL) -> None:
    """Let glibc keep freed buffers up to a limit: a picture in used pages decodes a third faster than in new ones."""
    with suppress(AttributeError):
        library.mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


if __name__ == "__main__":
    main()

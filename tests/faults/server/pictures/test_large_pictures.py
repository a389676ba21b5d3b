"""Large pictures: no worker waits while they are decoded."""

from __future__ import annotations

import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import grpc
import numpy as np

from facet import Client, picture
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.recognition_service_pb2_grpc import RecognitionServiceStub
from tests.waiting import PATIENCE, until

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving

WIDTH, HEIGHT = 2500, 2000


def large_jpeg() -> bytes:
    return cv2.imencode(".jpg", np.full((HEIGHT, WIDTH, 3), 128, np.uint8))[1].tobytes()


def decoders(serving: Serving) -> dict[int, int]:
    """The decoders of a server: niceness by process id."""
    # Without -ww, it cuts long lines off at the width of the terminal.
    command = ["ps", "-ww", "--ppid", str(serving.process.pid), "-o", "pid=,args="]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    pids = [int(line.split()[0]) for line in found.stdout.splitlines() if "decoders.child" in line]
    return {pid: os.getpriority(os.PRIO_PROCESS, pid) for pid in pids}


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] == "T"


def test_one_worker_serves_others_while_a_large_picture_is_decoded(serve: Serve, pictures: Pictures) -> None:
    # The decoder may take so long because the limit of pixels is so high.
    serving = serve("--server.workers", "1", "--pictures.max-pixels", "1000000000")
    own_connection = [("grpc.use_local_subchannel_pool", 1)]  # channels of one process share connections otherwise
    large = pb.AnalyzeFacesRequest(picture=picture(large_jpeg()))
    usual = pb.AnalyzeFacesRequest(picture=picture(pictures.yaoming))
    with (
        Client(serving.address, timeout=PATIENCE) as client,
        grpc.insecure_channel(serving.address, own_connection) as channel,
        ThreadPoolExecutor(1) as sender,
    ):
        client.recognition.AnalyzeFaces(large)  # starts the decoder of large pictures
        niceness = decoders(serving)
        decoder = max(niceness, key=lambda pid: niceness[pid])
        os.kill(decoder, signal.SIGSTOP)
        try:
            until(lambda: is_stopped(decoder))
            waiting = sender.submit(client.recognition.AnalyzeFaces, large)
            until(lambda: client.get_server_info().queue.busy > 0)
            other = RecognitionServiceStub(channel)
            for _ in range(3):
                assert other.AnalyzeFaces(usual, timeout=PATIENCE).faces
            assert not waiting.done()
        finally:
            os.kill(decoder, signal.SIGCONT)
        assert waiting.result(PATIENCE).picture_size.width == WIDTH

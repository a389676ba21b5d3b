"""Clients that cancel or send the largest pictures: other clients get answers, and memory stays bounded."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facet import AsyncClient, Client, InvalidArgument, picture
from facet.runtime.pictures import decode
from facet.v1 import recognition_service_pb2 as pb

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve

LIMIT = 12_000_000
"""Pixels of a picture."""
SIZES = ((4000, 3000), (3000, 4000), (60_000, 200), (200, 60_000), (3464, 3464), (1, 60_000), (60_000, 1), (1, 1))
TOO_LARGE = (4000, 3001)
WORKERS = 2
FLAGS = ("--server.workers", str(WORKERS), "--models.objects", "none")
HOSTILE_CLIENTS = 6
MAX_GROWTH = WORKERS * 10 * LIMIT
"""Bytes: ten for each pixel that a worker decodes. How much an idle server needs depends on the processor, so only what
is added to it has a bound. About 140 MB are added. Decoding the pictures of all clients at once would add 390 MB, a
float32 copy of each picture 144 MB for each worker, and a leak 36 MB for each of more than a hundred pictures."""
CANCELLED_GROWTH = 100_000_000
"""Bytes. A leak of the cancelled requests' pictures, 120 of 3 MB each, would add 380 MB."""


def request(source: bytes | NDArray[np.uint8]) -> pb.AnalyzeFacesRequest:
    return pb.AnalyzeFacesRequest(picture=picture(source))


async def test_cancelled_calls_neither_disturb_others_nor_leak_memory(serve: Serve, pictures: Pictures) -> None:
    serving = serve(*FLAGS)
    message = request(enlarged(pictures.yaoming, 4))
    resident = []
    async with AsyncClient(serving.address) as client:
        for _ in range(20):
            wanted, unwanted = (
                [asyncio.ensure_future(client.recognition.AnalyzeFaces(message)) for _ in range(8)] for _ in range(2)
            )
            await asyncio.wait([*wanted, *unwanted], return_when=asyncio.FIRST_COMPLETED)
            for call in unwanted:
                call.cancel()
            answers = await asyncio.gather(*wanted)
            assert [len(answer.faces) for answer in answers] == [1] * 8
            await asyncio.wait(unwanted)
            resident.append(serving.resident_bytes())
    assert resident[-1] - resident[4] < CANCELLED_GROWTH
    assert not [line for line in serving.log_lines() if line["event"] == "call failed"]


def test_pictures_at_the_size_limit_block_no_other_client_and_use_bounded_memory(
    serve: Serve, pictures: Pictures
) -> None:
    serving = serve(*FLAGS, "--pictures.max-pixels", str(LIMIT))
    at_the_limit = [encoded(width, height) for width, height in SIZES]
    too_large = encoded(*TOO_LARGE)
    enough = threading.Event()

    def large() -> None:
        with Client(serving.address) as client:
            while not enough.is_set():
                for data in at_the_limit:
                    assert not client.recognition.AnalyzeFaces(request(data)).faces
                    with pytest.raises(InvalidArgument) as caught:
                        client.recognition.AnalyzeFaces(request(too_large))
                    assert caught.value.reason == "PICTURE_TOO_LARGE"

    with ThreadPoolExecutor(HOSTILE_CLIENTS) as pool, Client(serving.address) as client:
        client.recognition.AnalyzeFaces(request(pictures.yaoming))
        for width, height in SIZES:  # the same shapes of network input, without the pixels
            client.recognition.AnalyzeFaces(request(encoded(max(1, width // 4), max(1, height // 4))))
        idle = serving.resident_bytes()
        hostile = [pool.submit(large) for _ in range(HOSTILE_CLIENTS)]
        try:
            for _ in range(20):
                assert len(client.recognition.AnalyzeFaces(request(pictures.yaoming)).faces) == 1
        finally:
            enough.set()
        for each in hostile:
            each.result()
        assert serving.resident_bytes() - idle < MAX_GROWTH


def enlarged(data: bytes, factor: int) -> NDArray[np.uint8]:
    """A picture with its sides multiplied, as raw pixels."""
    pixels = decode(data, max_pixels=LIMIT)
    return np.asarray(pixels.repeat(factor, 0).repeat(factor, 1))


def encoded(width: int, height: int) -> bytes:
    """A grey picture as a PNG."""
    return bytes(cv2.imencode(".png", np.full((height, width, 3), 127, np.uint8))[1])

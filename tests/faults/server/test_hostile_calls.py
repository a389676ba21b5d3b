"""Clients that spoil it for others: those others are answered, and memory stays where it was."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from facet import AsyncClient, Client, InvalidArgument, picture
from facet.v1 import recognition_service_pb2 as pb

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve

FLAGS = ("--server.workers", "2", "--models.objects", "none")
LIMIT = 12_000_000
"""Pixels of a picture."""
SIZES = ((4000, 3000), (3000, 4000), (60_000, 200), (200, 60_000), (3464, 3464), (1, 60_000), (60_000, 1), (1, 1))
TOO_LARGE = (4000, 3001)
BOUND = 800_000_000
"""Bytes of a server of two workers on pictures of LIMIT pixels: ten of each pixel a worker, and the models."""


def request(data: bytes) -> pb.AnalyzeFacesRequest:
    return pb.AnalyzeFacesRequest(picture=picture(data))


async def test_who_cancels_half_of_its_calls_costs_the_other_half_nothing(serve: Serve, pictures: Pictures) -> None:
    serving = serve(*FLAGS)
    message = request(pictures.yaoming)
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
    assert resident[-1] < 1.1 * resident[4]
    assert not [line for line in serving.log_lines() if line["event"] == "call failed"]


def test_pictures_at_the_limits_keep_nobody_from_an_answer_and_memory_bounded(serve: Serve, pictures: Pictures) -> None:
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

    with ThreadPoolExecutor(4) as pool, Client(serving.address) as client:
        hostile = [pool.submit(large) for _ in range(4)]
        try:
            for _ in range(20):
                assert len(client.recognition.AnalyzeFaces(request(pictures.yaoming)).faces) == 1
        finally:
            enough.set()
        for each in hostile:
            each.result()
    assert serving.resident_bytes() < BOUND


def encoded(width: int, height: int) -> bytes:
    """A grey picture as a PNG."""
    return bytes(cv2.imencode(".png", np.full((height, width, 3), 127, np.uint8))[1])

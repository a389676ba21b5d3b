"""How long a stream goes on after the key that it began with is revoked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from facet import Client, Unauthenticated
from facet.benchmarks.trust.calls import GALLERY
from facet.v1.recognition_service_pb2 import IdentifyStreamRequest, StreamSettings

_PATIENCE = 30.0
"""Seconds until a stream that does not end is given up."""


def revoked_after(client: Client, revoke: Callable[[], object]) -> float:
    """Seconds from the command that revokes a key to the end of a stream that the key has open.

    Args:
        client: has the key.
        revoke: revokes it.
    """
    opened, over = threading.Event(), threading.Event()

    def requests() -> Iterator[IdentifyStreamRequest]:
        yield IdentifyStreamRequest(settings=StreamSettings(camera="bench", gallery_id=GALLERY))
        opened.set()
        over.wait(_PATIENCE)

    call = client.recognition.IdentifyStream(requests())
    opened.wait(_PATIENCE)
    client.get_gallery(GALLERY)  # answered after the stream's first message has been read
    begun = time.perf_counter()
    revoke()
    with suppress(Unauthenticated):
        for _ in call:
            pass
    taken = time.perf_counter() - begun
    over.set()
    return taken

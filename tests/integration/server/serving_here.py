"""A server in this process, for tests that reach into it, such as its clock."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from facet import Client
from facet.server.app import Server


@contextmanager
def serving_here(server: Server) -> Iterator[Client]:
    """Serve in this process, on a thread with an event loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        address = asyncio.run_coroutine_threadsafe(server.start(), loop).result()
        with Client(address) as client:
            yield client
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

"""A real server in this process, on a thread of its own: the fuzzer sees the coverage of its code."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import grpc

PATIENCE = 30.0
"""Seconds after which a call has hung."""
MAX_RESPONSES = 3
"""Responses of a stream that are read before it is cancelled: some streams never end."""
_DEFECTS = (
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)


class Defect(AssertionError):
    """The server answered as it never should."""


class LocalServer:
    """The server and a channel to it.

    Args:
        token: the token that calls must carry; empty for none.
    """

    def __init__(self, token: str = "") -> None:
        from facet.runtime.process import configure_for_models
        from facet.server import logging as logs
        from facet.server.app import Server
        from facet.server.config import load

        configure_for_models()
        self._folder = tempfile.TemporaryDirectory()
        database = Path(self._folder.name) / "facet.sqlite3"
        flags = ["--server.port", "0", "--gallery.database", str(database), "--models.objects", "none"]
        flags += ["--log.level", "error", "--pictures.max-pixels", "10000"]
        config = load([*flags, *(["--server.token", token] if token else [])])
        logs.configure(config.log)
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True).start()
        self._server = Server(config)
        address = asyncio.run_coroutine_threadsafe(self._server.start(), loop).result()
        self._channel: Any = grpc.insecure_channel(address)

    def call(
        self, method: str, messages: Iterable[bytes], metadata: Iterable[tuple[str, str | bytes]] = ()
    ) -> list[bytes]:
        """Call a method with raw messages; returns its first responses.

        Raises:
            Defect: the status is one that only a defect of the server has, or the call hangs.
        """
        stream: Any = self._channel.stream_stream(method)(iter(messages), timeout=PATIENCE, metadata=tuple(metadata))
        responses: list[bytes] = []
        try:
            for response in stream:
                responses.append(response)
                if len(responses) == MAX_RESPONSES:
                    stream.cancel()
                    break
        except grpc.RpcError as error:
            if error.code() in _DEFECTS:
                raise Defect(f"{method}: {error.code()}: {error.details()}") from error
        return responses

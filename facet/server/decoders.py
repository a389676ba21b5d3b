"""The server's decoder processes: started with it, watched in its log and metrics, ended with it."""

from __future__ import annotations

import structlog
from prometheus_client import CollectorRegistry, Counter

from facet.runtime.cores import usable_cores
from facet.runtime.decoders import DecoderEvent, DecoderPool
from facet.runtime.decoders.limits import LARGE_PIXELS
from facet.runtime.picture_size import claimed_pixels
from facet.runtime.pictures import DecodedPicture
from facet.server.config import ServerConfig
from recognizer.progress import Turns

_log = structlog.get_logger("facet.decoders")

_TURN_SECONDS = 0.01
"""After this time a worker that waits for a large picture serves others."""


class PictureDecoders:
    """Decoder processes: one more than workers, so that a worker does not wait while one is replaced.

    Large pictures have processes of their own, half as many as workers and of lower priority. A worker does not wait
    for them: it comes back from time to time.
    """

    def __init__(self, config: ServerConfig) -> None:
        self._restarts = Counter(
            "facet_decoder_restarts",
            "Decoder processes that were replaced after a picture took too long or crashed them.",
            ("cause",),
            registry=None,
        )
        for cause in ("timeout", "crash"):  # a rate needs the 0 before the first one
            self._restarts.labels(cause)
        workers = config.workers or usable_cores()
        self._pool = DecoderPool(1 + workers, self._report)
        self._large = DecoderPool((workers + 1) // 2, self._report, for_large=True)

    def decode(self, data: bytes, *, max_pixels: int, longer_side: int | None = None) -> Turns[DecodedPicture]:
        """Decode a picture; see :meth:`facet.runtime.decoders.DecoderPool.decode_in_turns`."""
        if claimed_pixels(data) <= LARGE_PIXELS:  # a claim can be too small
            picture = self._pool.decode_unless_large(data, max_pixels=max_pixels)
            if picture is not None:
                return picture
        return (
            yield from self._large.decode_in_turns(
                data, max_pixels=max_pixels, seconds=_TURN_SECONDS, longer_side=longer_side
            )
        )

    def register(self, registry: CollectorRegistry) -> None:
        """Export the number of replaced processes."""
        registry.register(self._restarts)

    def close(self) -> None:
        """End the processes; one that decodes a picture ends when it has done so."""
        self._pool.close()
        self._large.close()

    def _report(self, event: DecoderEvent) -> None:
        if event.kind == "output":  # one line, whatever the library wrote; a client could fill the log with it
            _log.debug("a library wrote about a picture", lines=event.detail)
        else:
            self._restarts.labels(event.kind).inc()
            _log.warning("a decoder was replaced", cause=event.kind, detail=event.detail)

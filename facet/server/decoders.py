"""The server's decoder processes: started with it, watched in its log and metrics, ended with it."""

from __future__ import annotations

import structlog
from prometheus_client import CollectorRegistry, Counter

from facet.runtime.cores import usable_cores
from facet.runtime.decoders import DecoderEvent, DecoderPool
from facet.server.config import ServerConfig

_log = structlog.get_logger("facet.decoders")


class PictureDecoders:
    """Decoder processes, one more than workers, so that a worker does not wait while one is replaced.

    Attributes:
        decode: decodes a picture; see :meth:`facet.runtime.decoders.DecoderPool.decode`.
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
        self._pool = DecoderPool(1 + (config.workers or usable_cores()), self._report)
        self.decode = self._pool.decode

    def register(self, registry: CollectorRegistry) -> None:
        """Export the number of replaced processes."""
        registry.register(self._restarts)

    def close(self) -> None:
        """End the processes; one that decodes a picture ends when it has done so."""
        self._pool.close()

    def _report(self, event: DecoderEvent) -> None:
        if event.kind == "output":  # one line, whatever the library wrote; a client could fill the log with it
            _log.debug("a library wrote about a picture", lines=event.detail)
        else:
            self._restarts.labels(event.kind).inc()
            _log.warning("a decoder was replaced", cause=event.kind, detail=event.detail)

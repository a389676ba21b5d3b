"""Embeds a kept crop exactly as an enrolment embeds the face."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from facet.runtime.pictures import PictureError
from facet.server.scheduling.work import Priority, Work
from facet.server.scheduling.workers import Workers
from gallery.embeddings import MIN_LENGTH
from recognizer.alignment import CROP_SIZE
from recognizer.pipeline import FacePipeline
from recognizer.sources import Encoded

T = TypeVar("T")

_CALLER = "migration"


class CropDamaged(Exception):
    """The crop cannot be decoded, or is no aligned face."""


class NotEmbedded(Exception):
    """The model's output for the crop is no direction: it has no length, or is not finite."""


class Stopping(Exception):
    """The server stops."""


class CropEmbedder:
    """Embeds crops on the server's workers, when no other work runs. Call it from one thread.

    Args:
        pipeline: the models.
        workers: the threads that run them.
        loop: the event loop of the workers.
    """

    def __init__(self, pipeline: FacePipeline, workers: Workers, loop: asyncio.AbstractEventLoop) -> None:
        self._pipeline = pipeline
        self._workers = workers
        self._loop = loop
        self._stopping = threading.Event()
        self._running: Future[NDArray[np.float32]] | None = None

    def embed(self, crop: bytes, contract: str) -> NDArray[np.float32]:
        """Embed an aligned face, a PNG, as a template: float32 ``(dimension,)``, unit length.

        Each crop is a batch of its own, as in an enrolment: on some processors, a model's output depends on the size of
        the batch in the last bits.

        Raises:
            CropDamaged: it cannot be decoded, or has another size.
            NotEmbedded: the output has no length.
            InferenceFailed: memory or threads are short.
            OSError: no process can be started that decodes it.
            Stopping: :meth:`stop` was called.
        """
        return self._on_worker(lambda work: self._embedded(crop, contract, work))

    def stop(self) -> None:
        """Let :meth:`embed` raise from now on."""
        self._stopping.set()
        if self._running is not None:
            self._running.cancel()

    def _on_worker(self, task: Callable[[Work], NDArray[np.float32]]) -> NDArray[np.float32]:
        work = Work(kind="migration", priority=Priority.BACKGROUND, caller=_CALLER)
        running = self._workers.run(work, lambda: task(work), never_refuse=True)
        self._running = asyncio.run_coroutine_threadsafe(running, self._loop)
        if self._stopping.is_set():
            self._running.cancel()
        try:
            return self._running.result()
        except CancelledError:
            raise Stopping from None

    def _embedded(self, crop: bytes, contract: str, work: Work) -> NDArray[np.float32]:
        source = Encoded(crop, turn=0)
        if source.claimed_pixels() > CROP_SIZE**2:
            raise CropDamaged("it is larger than an aligned face")
        try:
            pixels = self._pipeline.decode(source, work)
        except PictureError as error:
            raise CropDamaged(str(error)) from error
        if pixels.shape != (CROP_SIZE, CROP_SIZE, 3):
            raise CropDamaged(f"it has {pixels.shape[1]}x{pixels.shape[0]} pixels")
        embedding: NDArray[np.float32] = self._pipeline.embed_crops(
            [pixels], work, as_template=True, contract=contract
        )[0]
        if not (np.isfinite(embedding).all() and np.linalg.norm(embedding) > MIN_LENGTH):
            raise NotEmbedded
        return embedding

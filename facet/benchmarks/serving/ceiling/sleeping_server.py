"""A server in a process of its own, on a real port, whose models sleep."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from facet.benchmarks.galleries.synthetic_gallery import fill
from facet.benchmarks.serving.ceiling.sleeping_models import load_sleeping
from facet.runtime.process import configure_for_models
from facet.server import logging as logs
from facet.server.app import Server
from facet.server.config import Config, GalleryConfig, LogConfig, ServerConfig
from facet.server.decoders import PictureDecoders
from facet.server.models import pipeline_settings
from gallery.stores.sqlite.sqlite_store import SqliteStore
from recognizer.pipeline import FacePipeline

_SUBJECTS = 1000


@dataclass(frozen=True, slots=True)
class SleepingServer:
    """A server that is ready.

    Attributes:
        address: host and port.
        pid: of its process.
    """

    address: str
    pid: int


@contextmanager
def sleeping_server(folder: Path, model_seconds: float, workers: int) -> Iterator[SleepingServer]:
    """Start a server, with 1,000 subjects in the gallery that :func:`fill` makes; stop it at the end.

    Args:
        folder: for its database and its log.
        model_seconds: how long each run of a model takes.
        workers: requests that are processed at the same time.

    Raises:
        EOFError: it did not start; it has said why on standard error.
    """
    spawn = multiprocessing.get_context("spawn")
    ours, its = spawn.Pipe()
    process = spawn.Process(target=_run, args=(folder, model_seconds, workers, its), name="server")
    process.start()
    its.close()
    try:
        yield SleepingServer(ours.recv(), process.pid or 0)
    finally:
        ours.close()
        process.join()


def _run(folder: Path, model_seconds: float, workers: int, told: Connection) -> None:
    """Serve until the other end of the pipe is closed."""
    configure_for_models()
    config = Config.model_construct(
        server=ServerConfig(port=0, workers=workers), gallery=GalleryConfig(database=folder / "facet.sqlite3")
    )
    with (folder / "server.log").open("w") as log:
        logs.configure(LogConfig(format="json"), log)
        asyncio.run(_serve(config, model_seconds, told))


async def _serve(config: Config, model_seconds: float, told: Connection) -> None:
    settings = pipeline_settings(config)
    with closing(PictureDecoders(config.server)) as decoders:
        pipeline = FacePipeline(load_sleeping(model_seconds, settings), settings, decoders.decode)
        pipeline.warm_up()
        vectors = np.random.default_rng(0).standard_normal((_SUBJECTS, pipeline.dimension)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        with closing(SqliteStore(config.gallery.database)) as store:
            fill(store, vectors, pipeline.contract)
        server = Server(config, pipeline)
        told.send(await server.start())
        await asyncio.to_thread(_wait_for_end, told)
        await server.stop()


def _wait_for_end(told: Connection) -> None:
    try:
        told.recv()
    except EOFError:
        return

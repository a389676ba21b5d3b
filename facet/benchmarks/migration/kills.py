"""Kills a server at random moments of a migration, and starts it again."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from facet import Client, FacetError
from facet.benchmarks.migration.steps import is_embedded, is_over
from facet.terminal import console
from facet.terminal.local_server import local_process
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import migrations_pb2 as pb

_LONGEST = 3.0
"""Seconds after which a server is killed at the latest."""
_POLL_SECONDS = 0.05


def survived(flags: tuple[str, ...], gallery_id: str, contracts: tuple[str, str], *, kills: int, seed: int) -> str:
    """Migrate a gallery back and forth while its server is killed; returns the contract that it has in the end.

    Every server that starts does what is next: start a migration, wait until everything is embedded, switch, and
    finish. So the kills meet every step. After the last one, the migration that is under way is brought to its end.

    Args:
        flags: of ``facet serve``.
        gallery_id: the gallery.
        contracts: the model that it migrates to, and the one that it has.
        kills: how often the server is killed.
        seed: of the moments.
    """
    rng = random.Random(seed)  # noqa: S311 - the same moments in every run, not a secret
    target, other = contracts
    with console.progress("Killing", kills) as bar:
        for _ in range(kills):
            with _killed(flags, rng.uniform(0, _LONGEST)) as client:
                while _went_through(client, gallery_id, target):
                    target, other = other, target
            bar.advance(bar.task_ids[0])
    with local_process(*flags) as server, Client(server.address) as client:
        if not _went_through(client, gallery_id, target):
            raise OSError("the last server, which was not killed, did not bring the migration to its end")
    return target


@contextmanager
def _killed(flags: tuple[str, ...], seconds: float) -> Iterator[Client]:
    """A server that is killed some seconds after it is ready; what the block asks it then fails."""
    with local_process(*flags) as server, Client(server.address) as client:
        timer = threading.Timer(seconds, os.kill, (server.pid, signal.SIGKILL))
        timer.start()
        try:
            yield client
        finally:
            timer.cancel()


def _went_through(client: Client, gallery_id: str, to_model: str) -> bool:
    """Do the steps that are left until the server is gone; tell whether the migration is over."""
    try:
        while True:
            gallery = client.get_gallery(gallery_id)
            if is_over(gallery, to_model):
                return True
            _next_step(client, gallery, to_model)
            time.sleep(_POLL_SECONDS)
    except FacetError:
        return False


def _next_step(client: Client, gallery: gallery_pb.Gallery, to_model: str) -> None:
    if not gallery.HasField("migration"):
        client.start_migration(gallery.gallery_id, to_model)
    elif gallery.migration.state == pb.MIGRATION_STATE_SWITCHED:
        client.finish_migration(gallery.gallery_id)
    elif is_embedded(gallery):
        client.switch_migration(gallery.gallery_id, allow_default_threshold=True)

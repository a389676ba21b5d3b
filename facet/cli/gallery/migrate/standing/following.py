"""Following a server that works by itself: the progress of a migration, until there is nothing left to follow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import Progress

from facet import Client, Unavailable
from facet.cli.gallery.migrate.standing.steps import Steps
from facet.client.retry import Retry
from facet.terminal import console
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import migrations_pb2 as pb

_SECONDS_BETWEEN = 0.5
_LONGEST_PAUSE = 2.0
"""Seconds between attempts while no server answers, unless it asks for more: somebody is looking on."""
_PATIENCE = 300.0
"""Seconds to keep asking while no server answers; one that starts again goes on by itself."""


def follow_embedding(client: Client, gallery: str) -> gallery_pb.Gallery:
    """Show how the server makes embeddings, until all that can be made are made, or a problem stops it."""
    with console.progress("embedding", None, unit="templates") as bar:

        def is_over(found: gallery_pb.Gallery) -> bool:
            migration = found.migration
            done = migration.templates_done
            bar.update(bar.task_ids[0], completed=done, total=done + migration.templates_waiting)
            is_stuck = migration.problem and not migration.templates_per_second
            return migration.state != pb.MIGRATION_STATE_EMBEDDING or bool(is_stuck)

        return _follow(client, gallery, bar, is_over)


def follow_dropping(client: Client, gallery: str, migration_id: str) -> gallery_pb.Gallery:
    """Show how the server drops embeddings, until the gallery's migration is over."""
    most = 0
    with console.progress("dropping", None, unit="templates") as bar:

        def is_over(found: gallery_pb.Gallery) -> bool:
            nonlocal most
            left = found.migration.templates_done
            most = max(most, left)
            bar.update(bar.task_ids[0], completed=most - left, total=most)
            return found.migration.migration_id != migration_id or bool(found.migration.problem)

        return _follow(client, gallery, bar, is_over)


@contextmanager
def only_following(steps: Steps) -> Iterator[None]:
    """If Ctrl-C ends the block, say that the server goes on, and how to see it."""
    with console.telling_when_stopped(lambda: f"the server goes on by itself; to see it: {steps.status().command}"):
        yield


def _follow(
    client: Client, gallery: str, bar: Progress, is_over: Callable[[gallery_pb.Gallery], bool]
) -> gallery_pb.Gallery:
    """Ask for the gallery now and then until ``is_over`` says so. A server that goes away is waited for."""
    retry = Retry(_PATIENCE)
    task, doing = bar.task_ids[0], bar.tasks[0].description
    while True:
        pause = _SECONDS_BETWEEN
        try:
            found = client.get_gallery(gallery)
        except Unavailable as error:
            if (after := retry.failed(error.retry_after)) is None:
                raise
            pause = after if error.retry_after is not None else min(after, _LONGEST_PAUSE)
            bar.update(task, description="no server, waiting")
        else:
            retry.succeeded()
            bar.update(task, description=doing)
            if is_over(found):
                return found
        time.sleep(pause)

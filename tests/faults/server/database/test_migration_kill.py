"""Servers that are killed while a gallery migrates to another embedding model."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from facet import LARGEST, Client, Enrollment, FacetError
from facet.v1 import migrations_pb2 as pb
from gallery.embeddings import normalized
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.stores.sqlite.verify import verify
from tests.faults.promises import Seen, promises
from tests.faults.server.writers import GALLERY
from tests.second_model import DIMENSION
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving

SEED = 16
PEOPLE = 40


def pictures_of(picture: bytes) -> dict[str, bytes]:
    """Pictures of which each has another crop and another embedding, by the person whose picture it is."""
    decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    pixels = decoded.astype(np.int16)
    noise = np.random.default_rng(SEED)
    noisy = (pixels + noise.integers(-40, 41, pixels.shape) for _ in range(PEOPLE))
    encoded = (cv2.imencode(".jpg", np.clip(each, 0, 255).astype(np.uint8))[1].tobytes() for each in noisy)
    return {f"p{number:02}": each for number, each in enumerate(encoded)}


def killed(serving: Serving, seconds: float, call: Callable[[Client], object] = lambda _: None) -> None:
    """Call a server, and kill it after some seconds, whether it has answered or not."""
    timer = threading.Timer(seconds, serving.process.kill)
    with Client(serving.address) as client:
        timer.start()
        with suppress(FacetError):
            call(client)
    assert serving.process.wait() == -signal.SIGKILL


@promises(
    "kill -9",
    "while a gallery is embedded with another model, is switched, rolled back, and the old embeddings are dropped",
    "the next start goes on by itself; a switch is made or not made; in the end each template is there once, with the "
    "embedding that an enrolment with the new model makes",
)
def test_a_migration_survives_kills_at_every_step(
    serve: Serve, tmp_path: Path, pictures: Pictures, second_model: Path, rounds: int, seen: Seen
) -> None:
    chance = random.Random(SEED)
    people = pictures_of(pictures.yaoming)
    flags = ("--models.objects", "none", "--models.embedding-next", str(second_model), "--enrollment.keep-crops")
    serving = serve(*flags)
    with Client(serving.address) as client:
        client.create_gallery(GALLERY)
        items = [(person, Enrollment(person, picture, face=LARGEST)) for person, picture in people.items()]
        answers = dict(client.enroll_batch(GALLERY, items, accept_lookalike=True))
        assert len(answers) == PEOPLE
        client.start_migration(GALLERY, "second")
    for kill in range(2 * rounds):
        with Client(serving.address) as client:
            until(has_embedded(client, kill * PEOPLE // (2 * rounds)))
        killed(serving, chance.uniform(0, 0.1))
        serving = serve(*flags)
    with Client(serving.address) as client:
        until(lambda: client.get_gallery(GALLERY).migration.state == pb.MIGRATION_STATE_READY)
    made = 0
    for step, undo in ((switch, roll_back), (roll_back, switch), (switch, roll_back)):
        killed(serving, chance.uniform(0, 0.01), step)
        serving = serve(*flags)
        with Client(serving.address) as client:
            migration = client.get_gallery(GALLERY).migration
            is_made = (migration.state == pb.MIGRATION_STATE_SWITCHED) == (step is switch)
            made += is_made
            if not is_made:
                step(client)
            assert (migration.templates_done, migration.templates_waiting) == (PEOPLE, 0)
            undo(client)
            step(client)
    killed(serving, chance.uniform(0, 0.05), lambda client: client.finish_migration(GALLERY))
    serving = serve(*flags)
    with Client(serving.address) as client:
        if client.get_gallery(GALLERY).migration.state == pb.MIGRATION_STATE_SWITCHED:
            client.finish_migration(GALLERY)
        until(lambda: not client.get_gallery(GALLERY).HasField("migration"))
        contract = client.get_gallery(GALLERY).contract
        expected = {person: template_of(client, picture, contract) for person, picture in people.items()}
    serving.stop()
    database = tmp_path / "facet.sqlite3"
    assert verify(database).problems == ()
    store = SqliteStore(database)
    try:
        faces = store.faces(GALLERY, after=("", ""), limit=2 * PEOPLE)
    finally:
        store.close()
    assert [face.subject.subject_id for face in faces] == sorted(people)
    for face in faces:
        assert face.embedding is not None
        assert face.other_embedding is None
        assert (face.embedding == expected[face.subject.subject_id]).all()
    seen(
        f"{2 * rounds} kills while {PEOPLE} templates were embedded; of 3 in a switch or rollback {made} left it made, "
        f"the others changed nothing; 1 kill at the end; all {PEOPLE} embeddings equal those of enrolments, to the bit"
    )


def has_embedded(client: Client, goal: int) -> Callable[[], bool]:
    return lambda: client.get_gallery(GALLERY).migration.templates_done >= goal


def switch(client: Client) -> None:
    client.switch_migration(GALLERY, allow_default_threshold=True)


def roll_back(client: Client) -> None:
    client.roll_back_migration(GALLERY)


def template_of(client: Client, picture: bytes, contract: str) -> NDArray[np.float32]:
    """The embedding that an enrolment of a picture stores."""
    (face,) = client.analyze_faces(
        picture, include_embeddings=True, embed_as_templates=True, contract=contract, face=LARGEST
    ).faces
    embedding: NDArray[np.float32] = normalized(np.array([face.embedding.values], np.float32), dimension=DIMENSION)[0]
    return embedding

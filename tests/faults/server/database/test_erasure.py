"""People who expire or are forgotten are in no byte of the files, whenever the server is killed, encrypted or not."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facet import LARGEST, Client, FacetError, InvalidArgument
from facet.v1 import gallery_service_pb2 as pb
from gallery.encryption.master_keys import new_key
from tests.faults.promises import Seen, promises
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve

FLAGS = ("--models.objects", "none", "--enrollment.keep-crops", "--gallery.erase-expired-seconds", "0.2")
GONE, KEPT = ("ada", "bea", "cleo"), "zoe"
NAMES = {subject: f"{subject.title()} of the {position}th house" for position, subject in enumerate((*GONE, KEPT))}


def bytes_of(client: Client, subject: str) -> list[bytes]:
    """What must be in no file once a subject is erased: the name, and the middle of the crop and of the embedding."""
    found = [NAMES[subject].encode()]
    for part in client.export_subject("team", subject):
        if part.HasField("template"):
            crop = part.template.crop
            embedding = np.array(part.template.embedding.values, "<f4").tobytes()
            found += [value[len(value) // 2 : len(value) // 2 + 48] for value in (crop, embedding)]
    return found


def in_files(folder: Path, values: list[bytes]) -> list[str]:
    """The files of a folder that hold one of the values."""
    return [path.name for path in sorted(folder.iterdir()) if any(value in path.read_bytes() for value in values)]


def pictures_of(pictures: Pictures, subject: str) -> Iterator[bytes]:
    """Two pictures whose digests nobody else's have."""
    base = pictures.yaoming if subject != KEPT else pictures.players
    yield base + subject.encode()
    yield base + subject.encode() * 2


def expire_soon(client: Client, subject: str) -> None:
    """Let a subject expire in a moment, which is later on a machine that is so slow that it would be over."""
    moment = timedelta(seconds=0.3)
    while True:
        try:
            client.update_subject("team", subject, expire_time=datetime.now(UTC) + moment)
        except InvalidArgument as error:
            if list(error.fields) != ["subject.expire_time"]:
                raise
            moment *= 2
        else:
            return


def is_hidden(client: Client, subject: str) -> bool:
    return all(each.subject_id != subject for each in client.iter_subjects("team"))


def is_proven(client: Client, count: int) -> bool:
    """Whether so many erasures are recorded, and the bytes of all of them are gone."""
    gone = (pb.ERASURE_OUTCOME_NOT_FOUND, pb.ERASURE_OUTCOME_NOT_SEARCHED)
    return [each.outcome in gone for each in client.iter_erasures()] == [True] * count


@promises(
    "kill -9",
    "while people expire or are forgotten",
    "they are in no answer after the next start, and within the hour in no byte of the files; each has a record that "
    "says so",
)
def test_erased_people_are_in_no_byte_of_the_files_whenever_the_server_is_killed(
    serve: Serve, tmp_path: Path, pictures: Pictures, seen: Seen
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    key = tmp_path / "master.key"
    key.touch(0o600)
    key.write_text(new_key(), "utf-8")
    flags = (*FLAGS, "--gallery.database", str(folder / "facet.sqlite3"))
    serving = serve(*flags)
    values: dict[str, list[bytes]] = {}
    with Client(serving.address) as client:
        client.create_gallery("team", threshold=0.99)
        for subject in (*GONE, KEPT):
            for picture in pictures_of(pictures, subject):
                face = None if subject != KEPT else LARGEST
                client.enroll(
                    "team",
                    subject,
                    picture,
                    display_name=NAMES[subject],
                    face=face,
                    accept_lookalike=True,
                    accept_unlike=True,
                )
            values[subject] = bytes_of(client, subject)
        assert in_files(folder, values["ada"]), "the test looks for bytes that are in no file"
    # Each start takes seconds, so there are only two kills: one before ada has expired, and one while bea, who has, is
    # being erased and cleo is being forgotten.
    for gone, encrypted in ((GONE[:1], False), (GONE, True)):
        with Client(serving.address) as client:
            expire_soon(client, "bea" if encrypted else "ada")
            if encrypted:
                until(partial(is_hidden, client, "bea"))
                request = threading.Thread(target=forget, args=(client, "cleo"))
                request.start()
            serving.process.kill()
            assert serving.process.wait() == -signal.SIGKILL
        # From the second start on, the database is encrypted, first in the background.
        serving = serve(*flags, "--gallery.encryption-key-file", str(key))
        with Client(serving.address) as client:
            if encrypted:
                forget(client, "cleo")  # again, if it was not forgotten
            for subject in gone:
                until(partial(is_hidden, client, subject))
            until(partial(is_proven, client, len(gone)))
            for subject in gone:
                assert len(list(client.iter_erasures("team", subject))) == 1
            assert {each.subject_id for each in client.iter_subjects("team")} == {*GONE, KEPT} - {*gone}
    with Client(serving.address) as client:
        erasures = list(client.iter_erasures())
        assert {(each.subjects, each.templates, each.crops) for each in erasures} == {(1, 2, 2)}
        assert len(list(client.iter_templates("team", KEPT))) == 2
    everything = [value for subject in GONE for value in values[subject]]
    assert in_files(folder, everything) == []
    until(lambda: not in_files(folder, values[KEPT]), "the database is never encrypted")
    serving.process.kill()
    assert in_files(folder, everything) == []
    found = sorted(pb.ErasureOutcome.Name(each.outcome).removeprefix("ERASURE_OUTCOME_").lower() for each in erasures)
    seen(f"2 kills, nothing of {len(GONE)} people in any file; the server's own search: {', '.join(found)}")


def forget(client: Client, subject: str) -> None:
    with suppress(FacetError):
        client.delete_subject("team", subject)

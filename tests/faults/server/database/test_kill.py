"""Servers that are killed, stopped and paused while clients write."""

from __future__ import annotations

import random
import signal
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import Client, DeadlineExceeded, Enrollment, FacetError
from facet.v1 import gallery_service_pb2 as pb
from gallery.stores.sqlite.verify import verify
from tests.faults.promises import Seen, promises
from tests.faults.server.writers import GALLERY, Writer, enroll, total, writing
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve

SEED = 7
BATCH = 40
LIGHT = ("--models.objects", "none")


def has_written(writers: list[Writer], goal: int) -> bool:
    return total(writers) >= goal


def sound(database: Path) -> None:
    """Check that a database verifies, also while a server has it open."""
    assert verify(database).problems == ()


@promises(
    "kill -9",
    "while several clients enrol, rename and forget through a server",
    "everything acknowledged is there after the next start, which needs no hand; no half person; a repeated request id "
    "gets the same template",
)
def test_a_server_killed_during_writes_keeps_what_it_acknowledged(
    serve: Serve, tmp_path: Path, pictures: Pictures, rounds: int, seen: Seen
) -> None:
    chance = random.Random(SEED)
    writers = [Writer(name, pictures.yaoming, threading.Event()) for name in ("a", "b", "c")]
    serving = serve(*LIGHT)
    with Client(serving.address) as client:
        client.create_gallery(GALLERY)
    in_doubt = complete = 0
    starts: list[float] = []
    for kill in range(2 * rounds):
        goal, moment = total(writers) + chance.randrange(1, 20), chance.uniform(0, 0.05)
        with writing(writers, serving.address, f"{SEED}.{kill}"):
            until(partial(has_written, writers, goal), "nobody writes")
            time.sleep(moment)  # so that the kill hits any part of a write
            serving.process.kill()
            assert serving.process.wait() == -signal.SIGKILL
        begun = time.monotonic()
        serving = serve(*LIGHT)
        starts.append(time.monotonic() - begun)
        with Client(serving.address) as client:
            for writer in writers:
                doubt, done = writer.settle(client)
                in_doubt, complete = in_doubt + doubt, complete + done
        sound(tmp_path / "facet.sqlite3")
    seen(
        f"{2 * rounds} kills, {total(writers)} writes acknowledged, all there; of {in_doubt} without an answer "
        f"{complete} complete, the others absent; next start in {max(starts):.1f} s"
    )


@promises(
    "kill -9",
    "during EnrollBatch",
    "every item that was answered is there after the next start; sending the batch again enrols the others, and nobody "
    "twice",
)
def test_a_batch_that_is_cut_by_a_kill_can_be_sent_again(
    serve: Serve, tmp_path: Path, pictures: Pictures, seen: Seen
) -> None:
    def items() -> list[tuple[str, Enrollment]]:
        return [
            (f"p{number}", Enrollment(f"p{number}", pictures.yaoming, request_id=f"request {number}"))
            for number in range(BATCH)
        ]

    serving = serve(*LIGHT)
    answered: dict[str, str] = {}
    with Client(serving.address) as client:
        client.create_gallery(GALLERY)
        with pytest.raises(FacetError):  # noqa: PT012 - the batch ends where the server dies
            for key, answer in client.enroll_batch(GALLERY, items(), accept_lookalike=True):
                assert isinstance(answer, pb.EnrollFaceResponse)
                answered[key] = answer.template.template_id
                if len(answered) == BATCH // 2:
                    serving.process.kill()
    serving = serve(*LIGHT)
    with Client(serving.address) as client:
        there = {each.subject_id: each.template_count for each in client.iter_subjects(GALLERY)}
        assert answered.keys() <= there.keys()
        assert set(there.values()) == {1}
        again = dict(client.enroll_batch(GALLERY, items(), accept_lookalike=True))
        assert len(again) == BATCH
        templates = {
            key: each.template.template_id for key, each in again.items() if isinstance(each, pb.EnrollFaceResponse)
        }
        assert {key: templates[key] for key in answered} == answered
        gallery = client.get_gallery(GALLERY)
        assert (gallery.subject_count, gallery.template_count) == (BATCH, BATCH)
    sound(tmp_path / "facet.sqlite3")
    seen(
        f"{len(answered)} of {BATCH} answered before the kill, {len(there)} there afterwards; sent again: {BATCH} "
        "people with a template each"
    )


@promises(
    "signals",
    "SIGTERM while several clients write",
    "calls in progress are answered, others are refused, exit code 0; everything acknowledged is there, nothing that "
    "was refused",
)
def test_sigterm_during_writes_loses_nothing(serve: Serve, tmp_path: Path, pictures: Pictures, seen: Seen) -> None:
    writers = [Writer(name, pictures.yaoming, threading.Event()) for name in ("a", "b", "c")]
    serving = serve(*LIGHT)
    with Client(serving.address) as client:
        client.create_gallery(GALLERY)
    with writing(writers, serving.address, "term"):
        until(partial(has_written, writers, 10), "nobody writes")
        code = serving.stop()
    assert code == 0
    reasons = {error.reason for writer in writers for error in writer.errors}
    assert reasons <= {"SHUTTING_DOWN", ""}  # empty where gRPC refused it
    serving = serve(*LIGHT)
    with Client(serving.address) as client:
        complete = sum(writer.settle(client)[1] for writer in writers)
    assert complete == 0, "a refused write was made"
    sound(tmp_path / "facet.sqlite3")
    seen(f"exit code 0; {total(writers)} writes acknowledged, all there; {len(writers)} refused, none made")


@promises(
    "signals",
    "SIGSTOP, and SIGCONT after a client's deadline",
    "the call ends at the client's deadline; after SIGCONT the server answers at once, and nothing is half written",
)
def test_a_paused_server_goes_on(serve: Serve, tmp_path: Path, pictures: Pictures, seen: Seen) -> None:
    serving = serve(*LIGHT)
    with Client(serving.address) as client:
        client.create_gallery(GALLERY)
        first = enroll(client, "a", pictures.yaoming)
        serving.process.send_signal(signal.SIGSTOP)
        with pytest.raises(DeadlineExceeded):
            client.enroll(GALLERY, "b", pictures.yaoming, request_id="of b", accept_lookalike=True, timeout=0.5)
        serving.process.send_signal(signal.SIGCONT)
        assert client.identify(GALLERY, pictures.yaoming).faces
        second = enroll(client, "b", pictures.yaoming)
        assert {first, second} == {
            each.template_id for person in ("a", "b") for each in client.iter_templates(GALLERY, person)
        }
    sound(tmp_path / "facet.sqlite3")
    seen("DEADLINE_EXCEEDED while paused; then answered, and sending the call again enrols once")

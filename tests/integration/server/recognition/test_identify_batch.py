"""IdentifyBatch over gRPC, and identify_batch of both clients: each picture is answered once, and fails alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import count, repeat
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from facet import AsyncClient, Client, FacetError, NotFound, from_status
from facet.client.batches import Answer
from facet.client.pictures import PictureSource
from facet.client.requests import identify_request
from facet.v1 import recognition_service_pb2 as pb
from tests.answers import faces_of

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving


def reasons(answers: dict[str, Answer]) -> dict[str, str]:
    return {key: answer.reason for key, answer in answers.items() if isinstance(answer, FacetError)}


def test_answers_equal_those_of_identify(client: Client, team: str, pictures: Pictures) -> None:
    requests = {
        "yao": identify_request(team, pictures.yaoming),
        "squad": identify_request(team, pictures.players, top_k=1, threshold=0.9, include_objects=True),
        "nobody": identify_request(team, np.zeros((64, 64, 3), np.uint8)),
    }
    sent = (pb.IdentifyBatchRequest(item_id=key, identification=request) for key, request in requests.items())
    answers = {answer.item_id: answer for answer in client.recognition.IdentifyBatch(sent)}
    assert answers.keys() == requests.keys()
    for key, request in requests.items():
        one = client.recognition.Identify(request)
        answer = answers[key].identification
        assert (answers[key].status.code, answer.timings.total_ms > 0) == (0, True)
        assert faces_of(answer) == faces_of(one)
        for each in (one, answer):
            each.ClearField("timings")
            each.ClearField("faces")
        assert answer == one


def test_a_bad_item_fails_alone(client: Client, team: str, pictures: Pictures) -> None:
    items = {
        "good": identify_request(team, pictures.yaoming),
        "broken": identify_request(team, pictures.yaoming[:500]),
        "nowhere": identify_request("no-such-gallery", pictures.yaoming),
        "greedy": identify_request(team, pictures.yaoming, top_k=1000),
        "empty": pb.IdentifyRequest(),
    }
    sent = (pb.IdentifyBatchRequest(item_id=item_id, identification=request) for item_id, request in items.items())
    answers = {answer.item_id: answer for answer in client.recognition.IdentifyBatch(sent)}
    failed = {item_id: from_status(answer.status) for item_id, answer in answers.items() if answer.status.code}
    assert {item_id: (error.reason, list(error.fields)) for item_id, error in failed.items()} == {
        "broken": ("INVALID_PICTURE", ["picture"]),
        "nowhere": ("GALLERY_NOT_FOUND", []),
        "greedy": ("INVALID_FIELD", ["top_k"]),
        "empty": ("INVALID_FIELD", ["gallery_id"]),
    }
    assert answers["good"].identification.faces[0].identification.decision == pb.DECISION_MATCH
    assert not any(answers[item_id].HasField("identification") for item_id in failed)


def test_the_client_answers_each_picture_under_its_key(
    client: Client, server: Serving, team: str, pictures: Pictures, tmp_path: Path
) -> None:
    file = tmp_path / "yao.jpg"
    file.write_bytes(pictures.yaoming)
    items: list[tuple[str, PictureSource]] = [(f"{number}: a name of any length" * 9, file) for number in range(30)]
    items += [("twice", pictures.yaoming), ("twice", pictures.yaoming), ("array", np.zeros((9, 9), np.uint8))]
    answers = list(client.identify_batch(team, items, top_k=1))
    assert sorted(key for key, _ in answers) == sorted(key for key, _ in items)
    assert not [answer for _, answer in answers if isinstance(answer, FacetError)]


def bad_items(folder: Path, pictures: Pictures) -> Iterator[tuple[str, PictureSource]]:
    """Pictures that cannot be identified, and a good one."""
    (folder / "large.jpg").write_bytes(bytes(1 << 17))
    yield "missing", folder / "missing.jpg"
    yield "folder", folder
    yield "large", folder / "large.jpg"
    yield "too many bytes", bytes(1 << 17)
    yield "no picture", np.zeros((9, 9, 9), np.uint8)
    yield "broken", pictures.yaoming[:500]
    yield "good", pictures.yaoming


async def test_a_picture_that_cannot_be_read_or_sent_fails_alone(
    serve: Serve, pictures: Pictures, tmp_path: Path
) -> None:
    serving = serve("--server.max-message-bytes", str(1 << 16), "--models.objects", "none")
    with Client(serving.address) as client:
        client.create_gallery("g")
        answers = dict(client.identify_batch("g", bad_items(tmp_path, pictures)))
    assert answers.keys() == {key for key, _ in bad_items(tmp_path, pictures)}
    assert reasons(answers) == {
        "missing": "CANNOT_READ",
        "folder": "CANNOT_READ",
        "large": "FILE_TOO_LARGE",
        "too many bytes": "FILE_TOO_LARGE",
        "no picture": "INVALID_PICTURE",
        "broken": "INVALID_PICTURE",
    }
    async with AsyncClient(serving.address) as other:
        same = {key: answer async for key, answer in other.identify_batch("g", bad_items(tmp_path, pictures))}
    assert reasons(same) == reasons(answers)


def test_pictures_are_read_at_the_pace_of_the_answers(client: Client, team: str) -> None:
    picture = cv2.imencode(".bmp", np.zeros((600, 600, 3), np.uint8))[1].tobytes()
    taken = 0

    def endless() -> Iterator[tuple[int, bytes]]:
        nonlocal taken
        for number in count():
            taken = number + 1
            yield number, picture

    with closing(client.identify_batch(team, endless())) as answers:
        for answered, _ in enumerate(answers, start=1):
            # What is beyond an answer is in the server's places, and on the wire.
            assert taken - answered < 40
            if answered == 60:
                break


async def test_leaving_the_loop_cancels_the_call(server: Serving, team: str, pictures: Pictures) -> None:
    def cancelled() -> int:
        lines = [line for line in server.log_lines() if str(line.get("method", "")).endswith("/IdentifyBatch")]
        return sum(line["code"] == "CANCELLED" for line in lines)

    before = cancelled()
    async with AsyncClient(server.address) as client:
        async for _ in (answers := client.identify_batch(team, repeat(("yao", pictures.yaoming)))):
            break
        await answers.aclose()
        while cancelled() == before:  # a call that is answered gives the server time
            await client.create_gallery("")
    assert not [line for line in server.log_lines() if "exception" in line]


async def test_an_error_of_the_iterator_of_pictures_is_raised(
    client: Client, server: Serving, team: str, pictures: Pictures
) -> None:
    def failing() -> Iterator[tuple[str, bytes]]:
        yield "first", pictures.yaoming
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        list(client.identify_batch(team, failing()))
    with pytest.raises(TypeError, match="no_such_field"):
        list(client.identify_batch(team, failing(), no_such_field=1))  # type: ignore[call-arg]  # the test's point
    async with AsyncClient(server.address) as other:
        with pytest.raises(LookupError, match="no more"):
            _ = [each async for each in other.identify_batch(team, failing())]


def test_a_missing_gallery_fails_every_picture(client: Client, pictures: Pictures) -> None:
    answers = list(client.identify_batch("no-such-gallery", [(1, pictures.yaoming), (2, pictures.yaoming)]))
    assert sorted(key for key, _ in answers) == [1, 2]
    assert all(isinstance(answer, NotFound) for _, answer in answers)

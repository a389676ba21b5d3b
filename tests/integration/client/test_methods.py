"""The methods of both clients, against a real server."""

from __future__ import annotations

import io
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from PIL import Image

from facet import (
    CENTRAL,
    LARGEST,
    Aborted,
    DeadlineExceeded,
    Enrollment,
    FacetError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ServingStatus,
    stream_frame,
)
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.recognition_service_pb2 import StreamSettings
from tests.answers import faces_of

if TYPE_CHECKING:
    from tests.conftest import Pictures
    from tests.integration.client.conftest import Call


@pytest.fixture
async def team(call: Call, pictures: Pictures) -> str:
    """A gallery of one man."""
    gallery_id = f"g{uuid.uuid4().hex}"
    await call("create_gallery", gallery_id, display_name="The team", threshold=0.4, mean_of_best=2)
    await call("enroll", gallery_id, "yao", pictures.yaoming, display_name="Yao Ming", request_id=uuid.uuid4().hex)
    return gallery_id


async def test_galleries_are_created_changed_listed_and_deleted(call: Call, team: str) -> None:
    gallery = await call("get_gallery", team)
    assert (gallery.display_name, round(gallery.threshold, 3), gallery.mean_of_best) == ("The team", 0.4, 2)
    changed = await call("update_gallery", team, threshold=0.0, etag=gallery.etag)
    assert (changed.display_name, changed.threshold) == ("The team", 0.0)
    assert (await call("update_gallery", team, display_name="", mean_of_best=1)).display_name == ""
    with pytest.raises(Aborted):
        await call("update_gallery", team, threshold=0.5, etag=gallery.etag)
    with pytest.raises(InvalidArgument):
        await call("update_gallery", team)
    with pytest.raises(FailedPrecondition):
        await call("delete_gallery", team)
    assert await call("delete_gallery", team, force=True) is None
    with pytest.raises(NotFound):
        await call("get_gallery", team)


async def test_lists_come_by_the_page_or_as_a_whole(call: Call, team: str, pictures: Pictures) -> None:
    await call("enroll", team, "yao", pictures.players, face=LARGEST, accept_lookalike=True)
    empty = [(await call("create_gallery")).gallery_id for _ in range(3)]
    page = await call("list_galleries", page_size=2)
    assert len(page.galleries) == 2
    following = await call("list_galleries", page_size=1, page_token=page.next_page_token)
    assert following.galleries[0].gallery_id > page.galleries[1].gallery_id
    listed = [gallery.gallery_id for gallery in await call("iter_galleries", page_size=2)]
    assert listed == sorted(set(listed))
    assert {team, *empty} <= set(listed)
    assert [each.subject_id for each in (await call("list_subjects", team)).subjects] == ["yao"]
    assert [each.subject_id for each in await call("iter_subjects", team, page_size=1)] == ["yao"]
    templates = (await call("list_templates", team, "yao", page_size=1)).templates
    every = await call("iter_templates", team, "yao", page_size=1)
    assert len(every) == 2
    assert every[:1] == list(templates)


async def test_subjects_are_changed_and_forgotten(call: Call, team: str) -> None:
    subject = await call("get_subject", team, "yao")
    renamed = await call("update_subject", team, "yao", display_name="Yao", etag=subject.etag)
    assert renamed.display_name == "Yao"
    with pytest.raises(Aborted):
        await call("delete_subject", team, "yao", etag=subject.etag)
    with pytest.raises(InvalidArgument):
        await call("update_subject", team, "yao")
    (template,) = await call("iter_templates", team, "yao")
    assert await call("delete_template", team, "yao", template.template_id) is None
    with pytest.raises(NotFound):
        await call("delete_template", team, "yao", template.template_id)
    assert (await call("delete_subject", team, "yao", etag=renamed.etag)).templates_deleted == 0


async def test_pictures_are_searched_for_objects_faces_and_people(call: Call, team: str, pictures: Pictures) -> None:
    objects = (await call("detect", pictures.players, class_names=["person"], min_score=0.5)).objects
    assert {each.class_name for each in objects} == {"person"}
    analysis = await call("analyze_faces", pictures.yaoming, include_embeddings=True, embed_as_templates=True)
    (face,) = analysis.faces
    found = (await call("search_embedding", team, face.embedding, top_k=1, threshold=0.9)).identification
    assert found.decision == pb.DECISION_MATCH
    assert [each.subject_id for each in found.candidates] == ["yao"]
    one = await call("analyze_faces", pictures.players, face=CENTRAL, include_objects=True, min_score=0.5)
    assert len(one.faces) == 1
    assert one.objects
    (identified,) = (await call("identify", team, pictures.yaoming, top_k=1, threshold=0.2, face=CENTRAL)).faces
    assert identified.identification.candidates[0].display_name == "Yao Ming"
    assert (await call("verify", (team, "yao"), pictures.yaoming, threshold=0.2)).same
    answer = await call("verify", pictures.yaoming, pictures.players, reference_face=CENTRAL, probe_face=LARGEST)
    assert answer.HasField("reference_face")


async def test_every_kind_of_picture_gets_the_same_answer(
    call: Call, team: str, pictures: Pictures, tmp_path: Path
) -> None:
    path = tmp_path / "yao.jpg"
    path.write_bytes(pictures.yaoming)
    array = np.asarray(cv2.imread(str(path)), np.uint8)
    image = Image.fromarray(array[:, :, ::-1])
    sources: list[Any] = [path, str(path), pictures.yaoming, bytearray(pictures.yaoming), memoryview(pictures.yaoming)]
    sources += [io.BytesIO(pictures.yaoming), array, image]
    faces = [faces_of(await call("identify", team, source)) for source in sources]
    assert len(faces[0]) == 1
    assert all(each == faces[0] for each in faces)


async def test_many_faces_are_enrolled_through_one_stream(
    call: Call, team: str, pictures: Pictures, tmp_path: Path
) -> None:
    items = [
        (1, Enrollment("yao", pictures.yaoming)),
        (2, Enrollment("squad", pictures.players, display_name="One of them", face=LARGEST)),
        (3, Enrollment("squad", pictures.players)),
        (4, Enrollment("nobody", tmp_path / "missing.jpg")),
        (5, Enrollment("", pictures.six, face=LARGEST, request_id=uuid.uuid4().hex)),
    ]
    answers = dict(await call("enroll_batch", team, items, accept_low_quality=True, accept_lookalike=True))
    assert answers[1].already_enrolled
    assert answers[2].subject.display_name == "One of them"
    assert isinstance(answers[3], FailedPrecondition)
    assert answers[3].reason == "SEVERAL_FACES"
    assert isinstance(answers[4], FacetError)
    assert answers[4].reason == "CANNOT_READ"
    assert answers[5].subject.subject_id
    checked = dict(await call("enroll_batch", team, [("x", Enrollment("x", pictures.yaoming))], validate_only=True))
    assert checked["x"].reason == "LOOKS_LIKE_ANOTHER_SUBJECT"


async def test_an_error_in_making_an_item_ends_the_batch(call: Call, team: str, pictures: Pictures) -> None:
    def items() -> Any:
        yield 1, Enrollment("yao", pictures.yaoming)
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        await call("enroll_batch", team, items())
    with pytest.raises(TypeError, match="not NoneType"):
        await call("identify_batch", team, [(1, None)])


async def test_many_pictures_are_identified_through_one_stream(call: Call, team: str, pictures: Pictures) -> None:
    items = [("one", pictures.yaoming), ("none", b"no picture")]
    answers = dict(await call("identify_batch", team, items, top_k=1, threshold=0.2, face=CENTRAL))
    assert answers["one"].faces[0].identification.candidates[0].subject_id == "yao"
    assert isinstance(answers["none"], InvalidArgument)


async def test_a_stream_is_followed(call: Call, team: str, pictures: Pictures) -> None:
    frames = [stream_frame(number, pictures.yaoming, captured=number / 10) for number in range(1, 4)]
    answers = await call("identify_stream", StreamSettings(gallery_id=team, lossless=True), frames)
    assert [each.frame_id for each in answers] == [1, 2, 3]
    with pytest.raises(NotFound):
        await call("identify_stream", StreamSettings(gallery_id="nowhere"), frames)


async def test_a_gallery_moves_as_a_file(call: Call, team: str) -> None:
    counts: list[int] = []
    file = b"".join(await call("export_gallery", team, progress=counts.append))
    assert counts[-1] == 1
    assert (await call("import_gallery", io.BytesIO(file), f"{team}-x", validate_only=True)).subject_count == 1
    copy = await call("import_gallery", [file], f"{team}-copy")
    assert (copy.gallery_id, copy.subject_count) == (f"{team}-copy", 1)
    with pytest.raises(InvalidArgument):
        await call("import_gallery", [file[:-1]], f"{team}-broken")
    with pytest.raises(FileNotFoundError):
        await call("import_gallery", "missing.facet", f"{team}-missing")


async def test_a_calibration_of_too_few_searches_is_refused(call: Call, team: str, pictures: Pictures) -> None:
    sent: list[int] = []
    with pytest.raises(FailedPrecondition) as caught:
        await call("calibrate", team, 0.1, [("stranger", pictures.yaoming)], data_set="one", progress=sent.append)
    assert caught.value.reason == "TOO_FEW_SEARCHES"
    assert sent == [1]
    with pytest.raises(ValueError, match="no probes"):
        await call("calibrate", team, 0.1, [])


async def test_the_server_says_what_it_runs_and_that_it_serves(call: Call) -> None:
    info = await call("get_server_info")
    assert info.embedding_dimension == 512
    for service in ("", "facet.v1.RecognitionService"):
        assert await call("check_health", service) is ServingStatus.SERVING
    with pytest.raises(NotFound):
        await call("check_health", "nothing.of.that.name")


async def test_a_call_has_a_deadline_of_its_own(call: Call, team: str, pictures: Pictures) -> None:
    with pytest.raises(DeadlineExceeded):
        await call("identify", team, pictures.players, timeout=0.005)
    with pytest.raises(DeadlineExceeded):
        await call("identify_batch", team, [(number, pictures.players) for number in range(50)], timeout=0.5)
    with pytest.raises(DeadlineExceeded):
        await call("watch_health", timeout=0.1)

"""Templates whose crop is missing or damaged in a migration, and servers that lack a model."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from facet import FAST, LARGEST, THOROUGH, Client, FailedPrecondition, InvalidArgument
from facet.v1 import migrations_pb2 as pb
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve


def test_gaps_are_listed_with_reasons_and_filled_from_the_pictures(
    serve: Serve, tmp_path: Path, pictures: Pictures, second_model: Path
) -> None:
    both = ("--models.objects", "none", "--models.embedding-next", str(second_model))
    serving = serve(*both)
    with Client(serving.address) as client:
        client.create_gallery("g")
        client.enroll("g", "without", pictures.players, face=LARGEST)
    serving.stop()
    serving = serve(*both, "--enrollment.keep-crops")
    with Client(serving.address) as client:
        for person, tail in (("damaged", b"1"), ("whole", b"2")):
            client.enroll("g", person, pictures.yaoming + tail, display_name=person.title(), accept_lookalike=True)
    serving.stop()
    with closing(sqlite3.connect(tmp_path / "facet.sqlite3")) as database, database:
        database.execute(
            """UPDATE crops SET png = substr(png, 1, 100) WHERE template_key IN (
                SELECT templates.key FROM templates JOIN subjects ON subjects.key = subject_key
                WHERE subject_id = 'damaged')"""
        )
    serving = serve(*both, "--enrollment.keep-crops")
    with Client(serving.address) as client:
        started = client.start_migration("g", "second")
        assert (started.templates_with_crop, started.templates_without_crop) == (2, 1)
        until(lambda: client.get_gallery("g").migration.state == pb.MIGRATION_STATE_READY)
        migration = client.get_gallery("g").migration
        assert (migration.templates_done, migration.templates_waiting, migration.templates_missing) == (1, 0, 2)
        gaps = list(client.iter_migration_gaps("g", page_size=1))
        assert [(gap.subject_id, gap.display_name, gap.reason) for gap in gaps] == [
            ("damaged", "Damaged", pb.MIGRATION_GAP_REASON_CROP_DAMAGED),
            ("without", "", pb.MIGRATION_GAP_REASON_NO_CROP),
        ]
        with pytest.raises(FailedPrecondition) as caught:
            client.switch_migration("g", allow_default_threshold=True)
        assert caught.value.reason == "MIGRATION_INCOMPLETE"
        client.switch_migration("g", allow_missing=True, allow_default_threshold=True)
        assert not client.fill_migration_gap("g", pictures.yaoming).templates, "nobody was enrolled from it"
        assert not client.fill_migration_gap("g", pictures.players, subject_ids=["damaged"]).templates
        for wrong, field in ((["a", ""], "subject_ids[1]"), (map(str, range(101)), "subject_ids")):
            with pytest.raises(InvalidArgument) as refused:
                client.fill_migration_gap("g", pictures.players, subject_ids=wrong)
            assert list(refused.value.fields) == [field]
        filled = client.fill_migration_gap("g", pictures.players)
        assert [each.subject_id for each in filled.templates] == ["without"]
        assert [each.subject_id for each in client.fill_migration_gap("g", pictures.yaoming + b"1").templates] == [
            "damaged"
        ]
        assert list(client.iter_migration_gaps("g")) == []
        # The embedding is that of the face, as an enrolment makes it.
        contract = migration.to_model.contract
        (face,) = client.analyze_faces(
            pictures.players, include_embeddings=True, embed_as_templates=True, contract=contract, face=LARGEST
        ).faces
        (best,) = client.search_embedding("g", face.embedding, top_k=1).identification.candidates
        assert (best.subject_id, round(best.similarity, 6)) == ("without", 1.0)


def test_a_server_without_the_new_model_serves_on_and_says_what_is_missing(
    serve: Serve, tmp_path: Path, pictures: Pictures, second_model: Path
) -> None:
    model = tmp_path / "new.onnx"
    model.write_bytes(second_model.read_bytes())
    flags = ("--models.objects", "none", "--models.embedding-next", str(model), "--enrollment.keep-crops")
    serving = serve(*flags)
    with Client(serving.address) as client:
        client.create_gallery("g")
        client.start_migration("g", "new")
    serving.stop()
    model.unlink()
    serving = serve(*flags)
    with Client(serving.address) as client:
        client.enroll("g", "yao", pictures.yaoming)
        until(lambda: client.get_gallery("g").migration.problem)
        problem = client.get_gallery("g").migration.problem
        assert problem.startswith("the server has no embedding model new loaded: ")
        assert "new.onnx" in problem
        (face,) = client.identify("g", pictures.yaoming).faces
        assert face.identification.candidates[0].subject_id == "yao"
        with pytest.raises(FailedPrecondition) as caught:
            client.switch_migration("g", allow_missing=True, allow_default_threshold=True)
        assert caught.value.reason == "MODEL_NOT_LOADED"
    serving.stop()
    model.write_bytes(second_model.read_bytes())
    serving = serve(*flags)
    with Client(serving.address) as client:
        until(lambda: client.get_gallery("g").migration.templates_done == 1, "what was enrolled meanwhile is missed")
        assert client.get_gallery("g").migration.problem == ""


def test_a_small_face_that_only_a_thorough_search_finds_is_filled(
    serve: Serve, pictures: Pictures, second_model: Path
) -> None:
    decoded = cv2.imdecode(np.frombuffer(pictures.yaoming, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    small = cv2.resize(decoded, (110, 110), interpolation=cv2.INTER_AREA)
    wide = np.full((500, 6000, 3), 120, np.uint8)
    wide[100:210, 5600:5710] = small
    panorama = cv2.imencode(".png", wide)[1].tobytes()
    serving = serve("--models.objects", "none", "--models.embedding-next", str(second_model))
    with Client(serving.address) as client:
        client.create_gallery("g")
        assert not client.analyze_faces(panorama, search=FAST).faces
        client.enroll("g", "far", panorama, search=THOROUGH, accept_low_quality=True)
        client.start_migration("g", "second")
        filled = client.fill_migration_gap("g", panorama)
        assert [each.subject_id for each in filled.templates] == ["far"]
        assert not filled.not_found
        assert not list(client.iter_migration_gaps("g"))

"""Live identifications that are searched with both models of a migration, and the report of how these agree."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from facet import Client, FailedPrecondition, InvalidArgument, NotFound
from facet.server.app import Server
from facet.server.config import load
from facet.server.models import model_settings, pipeline_settings
from facet.v1.migrations_pb2 import GetShadowReportResponse
from facet.v1.recognition_service_pb2 import DECISION_MATCH, DECISION_UNKNOWN, Identification, IdentifyResponse
from recognizer.analysis import AlignedFace
from recognizer.models.loading import load_models
from recognizer.pipeline import FacePipeline
from tests.integration.server.serving_here import serving_here
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving, Start

NOBODY_REACHES = 0.999


@pytest.fixture(scope="module")
def both(start: Start, second_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with both models that may keep crops."""
    flags = ("--models.objects", "none", "--models.embedding-next", str(second_model), "--enrollment.keep-crops")
    serving = start(tmp_path_factory.mktemp("both"), *flags)
    try:
        yield serving
    finally:
        serving.stop()


@pytest.fixture(scope="module")
def client(both: Serving) -> Iterator[Client]:
    with Client(both.address) as connected:
        yield connected


@pytest.fixture
def team(client: Client, pictures: Pictures) -> str:
    """The id of a gallery with one man under both models, all of whose identifications are compared."""
    return migrating_team(client, pictures)


def migrating_team(client: Client, pictures: Pictures) -> str:
    team = client.create_gallery(f"g{uuid.uuid4().hex}").gallery_id
    client.start_migration(team, "second")
    client.enroll(team, "yao", pictures.yaoming, display_name="Yao")
    client.update_migration(team, shadow_share=1.0)
    return team


def compared(client: Client, team: str, faces: int, *, include_crops: bool = False) -> GetShadowReportResponse:
    """The report, as soon as so many faces are in it."""
    until(lambda: client.get_shadow_report(team).faces >= faces, "the faces were never compared")
    report = client.get_shadow_report(team, include_crops=include_crops)
    assert report.faces == faces
    return report


def decision(answer: Identification) -> tuple[int, list[str]]:
    return answer.decision, [each.subject_id for each in answer.candidates]


def test_both_models_agree_on_the_man_and_on_strangers(client: Client, team: str, pictures: Pictures) -> None:
    nothing = client.get_shadow_report(team)
    assert (nothing.faces, nothing.agreement_low, nothing.agreement_high) == (0, 0.0, 1.0)
    assert not nothing.HasField("since")
    client.identify(team, pictures.yaoming)
    ((_, answer),) = client.identify_batch(team, [("squad", pictures.players)])
    assert isinstance(answer, IdentifyResponse)
    squad = len(answer.faces)
    report = compared(client, team, 1 + squad)
    assert (report.same_subject, report.both_unknown) == (2, squad - 1)
    assert (report.only_serving, report.only_shadow, report.different_subjects) == (0, 0, 0)
    assert (report.agreement, report.agreement_high) == (1.0, 1.0)
    assert not report.disagreements
    assert (report.serving_model.name, report.shadow_model.name) == ("w600k_mbf", "second")
    assert report.HasField("since")
    # The man counts once, and the strangers of one picture do, each weighted with its faces.
    assert report.independent_faces == 1
    assert report.agreement_low < 0.3
    for similarity in (report.serving_similarity, report.shadow_similarity):
        assert (len(similarity.counts), sum(similarity.counts)) == (40, 1 + squad)
        assert -0.2 < similarity.p5 < similarity.p50 < 0.4 < similarity.p95 <= 1
    for cost in (report.serving_cost, report.shadow_cost):
        assert cost.embed_ms > 0
        assert cost.search_ms > 0


def test_a_disagreement_is_shown_with_its_crop_until_its_subject_is_deleted(
    client: Client, team: str, pictures: Pictures
) -> None:
    client.identify(team, pictures.yaoming)
    compared(client, team, 1)
    client.update_migration(team, threshold=NOBODY_REACHES)
    assert client.get_shadow_report(team).faces == 0, "decisions of another threshold are not mixed with these"
    squad = len(client.identify(team, pictures.players, top_k=5).faces)
    report = compared(client, team, squad, include_crops=True)
    assert (report.only_serving, report.both_unknown) == (1, squad - 1)
    assert report.agreement == pytest.approx((squad - 1) / squad)
    (shown,) = report.disagreements
    assert decision(shown.serving) == (DECISION_MATCH, ["yao"])
    assert decision(shown.shadow) == (DECISION_UNKNOWN, ["yao"])
    assert shown.shadow.threshold == pytest.approx(NOBODY_REACHES)
    assert shown.shadow.candidates[0].similarity > 0.4
    crop = cv2.imdecode(np.frombuffer(shown.crop_png, np.uint8), cv2.IMREAD_COLOR)
    assert crop is not None
    assert crop.shape == (112, 112, 3)
    assert not client.get_shadow_report(team).disagreements[0].crop_png, "nobody asked for it"

    client.delete_subject(team, "yao")
    left = client.get_shadow_report(team, include_crops=True)
    assert not left.disagreements
    assert left.faces == squad, "counts name nobody"
    client.enroll(team, "yao", pictures.yaoming)
    assert not client.get_shadow_report(team).disagreements, "it was another subject with this id"


def test_a_disagreement_shows_the_name_that_its_subject_has_now(client: Client, team: str, pictures: Pictures) -> None:
    client.update_migration(team, threshold=NOBODY_REACHES)
    client.identify(team, pictures.yaoming)
    for name in ("Yao", "Yao Ming"):
        client.update_subject(team, "yao", display_name=name)
        (shown,) = compared(client, team, 1).disagreements
        assert {answer.candidates[0].display_name for answer in (shown.serving, shown.shadow)} == {name}


def test_a_disagreement_is_forgotten_with_a_merge_and_the_report_with_its_gallery(
    client: Client, team: str, pictures: Pictures
) -> None:
    client.enroll(team, "twin", pictures.yaoming, accept_lookalike=True)
    client.update_migration(team, threshold=NOBODY_REACHES)
    client.identify(team, pictures.yaoming, threshold=0.4)
    assert client.get_shadow_report(team).faces == 0, "a threshold of a request is one for the serving model only"
    squad = len(client.identify(team, pictures.players).faces)
    (shown,) = compared(client, team, squad).disagreements
    named = shown.serving.candidates[0].subject_id
    client.merge_subjects(team, named, "twin" if named == "yao" else "yao")
    assert not client.get_shadow_report(team).disagreements

    client.delete_gallery(team, force=True)
    with pytest.raises(NotFound):
        client.get_shadow_report(team)
    client.create_gallery(team)
    client.start_migration(team, "second")
    assert client.get_shadow_report(team).faces == 0


def test_after_a_switch_and_a_rollback_the_models_have_changed_roles(
    client: Client, team: str, pictures: Pictures
) -> None:
    client.update_migration(team, threshold=NOBODY_REACHES)
    client.identify(team, pictures.yaoming)
    assert compared(client, team, 1).only_serving == 1
    client.switch_migration(team)
    report = client.get_shadow_report(team)
    assert (report.faces, len(report.disagreements)) == (0, 0)
    assert (report.serving_model.name, report.shadow_model.name) == ("second", "w600k_mbf")
    squad = len(client.identify(team, pictures.players).faces)
    report = compared(client, team, squad)
    assert report.only_shadow == 1
    (shown,) = report.disagreements
    assert decision(shown.serving) == (DECISION_UNKNOWN, ["yao"])
    assert decision(shown.shadow) == (DECISION_MATCH, ["yao"])
    client.roll_back_migration(team)
    report = client.get_shadow_report(team)
    assert (report.faces, report.serving_model.name) == (0, "w600k_mbf")


def test_a_subject_without_an_embedding_of_the_other_model_is_no_disagreement(
    client: Client, pictures: Pictures
) -> None:
    team = client.create_gallery(f"g{uuid.uuid4().hex}").gallery_id
    client.enroll(team, "yao", pictures.yaoming)
    client.start_migration(team, "second")
    client.update_migration(team, shadow_share=1.0)
    client.identify(team, pictures.yaoming)

    def told() -> bool:
        report = client.get_shadow_report(team)
        return bool(report.not_embedded or report.faces)

    until(told)
    report = client.get_shadow_report(team)
    # The server embeds the crop of the enrolment in the background, and may be done by then.
    assert (report.not_embedded, report.same_subject) in ((1, 0), (0, 1))
    assert not report.disagreements


def test_a_report_can_be_reset_and_ends_with_the_migration(client: Client, team: str, pictures: Pictures) -> None:
    client.identify(team, pictures.yaoming)
    compared(client, team, 1)
    assert client.get_shadow_report(team, reset=True).faces == 1
    assert client.get_shadow_report(team).faces == 0
    client.identify(team, pictures.yaoming)
    compared(client, team, 1)
    client.cancel_migration(team)
    with pytest.raises(FailedPrecondition) as caught:
        client.get_shadow_report(team)
    assert caught.value.reason in ("MIGRATION_ENDING", "NO_MIGRATION")


def test_a_report_needs_a_migration_and_a_valid_gallery(client: Client) -> None:
    with pytest.raises(NotFound):
        client.get_shadow_report("nowhere")
    with pytest.raises(InvalidArgument) as invalid:
        client.get_shadow_report("")
    assert list(invalid.value.fields) == ["gallery_id"]
    settled = client.create_gallery(f"g{uuid.uuid4().hex}").gallery_id
    with pytest.raises(FailedPrecondition) as caught:
        client.get_shadow_report(settled)
    assert caught.value.reason == "NO_MIGRATION"


def test_no_crop_is_kept_where_none_may_be_and_a_share_needs_both_models(
    serve: Serve, second_model: Path, pictures: Pictures
) -> None:
    flags = ("--models.objects", "none")
    serving = serve(*flags, "--models.embedding-next", str(second_model))
    with Client(serving.address) as client:
        team = migrating_team(client, pictures)
        client.update_migration(team, threshold=NOBODY_REACHES)
        client.identify(team, pictures.yaoming)
        (shown,) = compared(client, team, 1, include_crops=True).disagreements
        assert not shown.crop_png
    assert serving.stop() == 0
    alone = serve(*flags)
    with Client(alone.address) as client:
        with pytest.raises(FailedPrecondition) as caught:
            client.update_migration(team, shadow_share=0.5)
        assert caught.value.reason == "MODEL_NOT_LOADED"
        client.identify(team, pictures.yaoming)
        report = client.get_shadow_report(team)
        assert (report.faces, report.shadow_model.is_loaded) == (0, False)
        client.update_migration(team, shadow_share=0.0)


class CountingPipeline(FacePipeline):
    """Counts the faces that each model embeds as probes, by its contract."""

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        self.probes: Counter[str | None] = Counter()

    def embed_in_turns(self, faces: Sequence[AlignedFace], *args: Any, **options: Any) -> Any:
        if not options.get("as_template"):
            self.probes[options.get("contract")] += len(faces)
        return super().embed_in_turns(faces, *args, **options)


def test_without_a_share_the_other_model_does_nothing(tmp_path: Path, second_model: Path, pictures: Pictures) -> None:
    database = ("--gallery.database", str(tmp_path / "facet.sqlite3"))
    models = ("--models.objects", "none", "--models.embedding-next", str(second_model))
    config = load(["--server.port", "0", *database, *models])
    settings = pipeline_settings(config)
    pipeline = CountingPipeline(load_models(model_settings(config), settings), settings)
    serving, shadow = pipeline.embedding_models
    with serving_here(Server(config, pipeline)) as client:
        team = migrating_team(client, pictures)
        client.update_migration(team, shadow_share=0.0)
        for _ in range(3):
            client.identify(team, pictures.yaoming)
        client.update_migration(team, shadow_share=1.0)
        client.identify(team, pictures.yaoming)
        compared(client, team, 1)
    assert pipeline.probes == {serving: 4, shadow: 1}

"""Errors about embeddings of another model: each says which models these are, and what helps."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gallery.errors import ContractMismatch
from gallery.galleries import Galleries
from gallery.opened.mismatches import ModelNames
from gallery.records.galleries import Gallery
from gallery.records.migrations import ModelVersion
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.unit.gallery.samples import CONTRACT, DIMENSION, axis, face

OLD = ModelVersion(CONTRACT, "w600k_mbf", "0" * 64, DIMENSION)
NEW = ModelVersion("contract-of-the-new", "antelope_r100", "f" * 64, 4)
THIRD = ModelVersion("contract-of-a-third", "third", "3" * 64, 4)
NEW_FACE = np.eye(4, dtype=np.float32)[0]

Open = Callable[..., Galleries]


@pytest.fixture
def serve(tmp_path: Path) -> Open:
    """Opens the galleries as a server with these models does, after the one before has ended."""
    opened: list[Galleries] = []

    def start(*models: ModelVersion, available: tuple[ModelVersion, ...] = (), problem: str = "") -> Galleries:
        for each in opened:
            each.close()
        first, *others = models
        galleries = Galleries(
            SqliteStore(tmp_path / "facet.db"),
            contract=first.contract,
            dimension=first.dimension,
            max_templates_per_subject=5,
            further={each.contract: each.dimension for each in others},
        )
        galleries.name_models(ModelNames(models, {each.contract: each.name for each in available}, problem))
        opened[:] = [galleries]
        return galleries

    return start


@pytest.fixture
def migrating(serve: Open) -> Open:
    """The same, with a gallery "team" that is being migrated from the old to the new model."""
    galleries = serve(OLD, NEW)
    galleries.create_gallery("team", display_name="")
    galleries.migrations.start("team", NEW.name)
    galleries.enroll("team", "ann", replace(face(axis(0)), further={NEW.contract: NEW_FACE}))
    return serve


def refusal(call: Callable[[], object]) -> ContractMismatch:
    with pytest.raises(ContractMismatch) as caught:
        call()
    return caught.value


def search(galleries: Galleries, model: ModelVersion = OLD, contract: str | None = None) -> ContractMismatch:
    probe = np.ones((1, model.dimension), np.float32)
    return refusal(lambda: galleries.search("team", probe, top_k=1, contract=contract))


def enrolled(galleries: Galleries, *, embedding_model: str = "") -> None:
    galleries.create_gallery("team", display_name="")
    galleries.enroll("team", "ann", replace(face(axis(0)), embedding_model=embedding_model))


def test_a_server_with_another_model_names_both_and_the_way_to_keep_the_gallery(serve: Open) -> None:
    enrolled(serve(OLD))
    galleries = serve(NEW, available=(OLD,))
    expected = (
        "gallery 'team' was enrolled with w600k_mbf, and this server embeds with antelope_r100: to search it, start "
        "the server with models.embedding=w600k_mbf; to take it to antelope_r100, with "
        "models.embedding_next=w600k_mbf, then run facet gallery migrate start team --to antelope_r100"
    )
    for call in (
        lambda: galleries.search("team", NEW_FACE[None], top_k=1),
        lambda: galleries.search_contract("team"),
        lambda: galleries.enroll("team", "bob", replace(face(axis(1)), contract=NEW.contract)),
        lambda: galleries.similarity_to_subject("team", "ann", NEW_FACE),
        lambda: galleries.calibrator.begin("team"),
    ):
        error = refusal(call)
        assert str(error) == expected
        assert error.metadata == {
            "expected": OLD.contract,
            "found": NEW.contract,
            "expected_model": "w600k_mbf",
            "found_model": "antelope_r100",
        }
    assert [str(each) for each in galleries.unserved()] == [expected]


def test_a_model_whose_file_is_gone_is_named_by_the_digest_that_its_templates_have(serve: Open) -> None:
    enrolled(serve(OLD), embedding_model="1a2b3c4d" + "0" * 56)
    error = search(serve(NEW), NEW)
    assert error.expected_model == "the model of SHA-256 1a2b3c4d"
    assert str(error).endswith(
        "restore the file of that model, and start the server with models.embedding_next set to it, then run facet "
        "gallery migrate start team --to antelope_r100; without that file, enrol its people in a new gallery"
    )


def test_a_model_of_which_nothing_is_known_is_named_by_its_contract(serve: Open) -> None:
    enrolled(serve(OLD))
    assert search(serve(NEW), NEW).expected_model == "another model, of the contract 'contract'"


def test_an_embedding_of_another_model_is_told_what_the_gallery_takes(serve: Open, migrating: Open) -> None:
    error = search(migrating(OLD, NEW, THIRD), THIRD, THIRD.contract)
    assert str(error) == (
        "the embedding is of third, and gallery 'team' takes embeddings of w600k_mbf and antelope_r100: AnalyzeFaces "
        "makes them with the contract contract-of-the-server or contract-of-the-new"
    )
    assert (error.expected, error.found) == (OLD.contract, THIRD.contract)


@pytest.mark.parametrize(
    ("switched", "models", "problem", "expected"),
    [
        (
            True,
            (OLD,),
            "model 'antelope_r100' not found",
            "gallery 'team' is switched to antelope_r100, which this server has not loaded (model 'antelope_r100' not "
            "found): start the server with models.embedding and models.embedding_next set to these two: antelope_r100, "
            "w600k_mbf; or let the other one search: facet gallery migrate rollback team",
        ),
        (
            True,
            (OLD,),
            "",
            "gallery 'team' is switched to antelope_r100, which this server has not loaded (models.embedding_next is "
            "not set): start the server with models.embedding and models.embedding_next set to these two: "
            "antelope_r100, w600k_mbf; or let the other one search: facet gallery migrate rollback team",
        ),
        (
            False,
            (NEW,),
            "",
            "gallery 'team' is being migrated from w600k_mbf, which this server has not loaded (models.embedding_next "
            "is not set): start the server with models.embedding and models.embedding_next set to these two: "
            "w600k_mbf, antelope_r100; or let the other one search: facet gallery migrate switch team",
        ),
        (
            True,
            (THIRD,),
            "",
            "gallery 'team' is switched to antelope_r100, which this server has not loaded (models.embedding_next is "
            "not set): start the server with models.embedding and models.embedding_next set to these two: "
            "antelope_r100, w600k_mbf",
        ),
    ],
)
def test_a_migration_whose_searching_model_is_not_loaded_says_why_and_what_helps(
    migrating: Open, switched: bool, models: tuple[ModelVersion, ...], problem: str, expected: str
) -> None:
    if switched:
        migrating(OLD, NEW).migrations.switch("team", allow_default_threshold=True)
    galleries = migrating(*models, problem=problem)
    assert str(refusal(lambda: galleries.search_contract("team"))) == expected
    if "rollback" in expected:
        galleries.migrations.roll_back("team")
        assert galleries.search_contract("team") == OLD.contract
    if "switch team" in expected:
        galleries.migrations.switch("team", allow_default_threshold=True)
        assert galleries.search_contract("team") == NEW.contract


def test_the_model_that_does_not_search_yet_may_be_missing(migrating: Open) -> None:
    galleries = migrating(OLD)
    assert galleries.unserved() == []
    assert "antelope_r100, which this server has not loaded" in str(search(galleries, NEW, NEW.contract))


def test_a_file_of_another_model_says_how_it_can_be_imported(serve: Open) -> None:
    galleries = serve(OLD)
    enrolled(galleries)
    file = b"".join(piece.data for piece in galleries.transfer.export_gallery("team"))

    def imported(into: Galleries) -> Gallery:
        return into.transfer.import_gallery(io.BytesIO(file), "copy", check=lambda: None)

    error = refusal(lambda: imported(serve(NEW, available=(OLD,))))
    assert str(error) == (
        "the file has gallery 'copy' with embeddings of w600k_mbf, and this server embeds with antelope_r100: to "
        "search it, start the server with models.embedding=w600k_mbf; to take it to antelope_r100, with "
        "models.embedding_next=w600k_mbf, import it again, then run facet gallery migrate start copy --to antelope_r100"
    )
    assert imported(serve(NEW, OLD)).contract == OLD.contract


def test_an_enrolment_that_began_before_the_migration_is_to_be_sent_again(migrating: Open) -> None:
    error = refusal(lambda: migrating(OLD, NEW).enroll("team", "bob", face(axis(1))))
    assert str(error) == (
        "an enrolment in gallery 'team' needs an embedding of antelope_r100, and this one has that of w600k_mbf: its "
        "migration has just begun or ended, send the enrolment again"
    )

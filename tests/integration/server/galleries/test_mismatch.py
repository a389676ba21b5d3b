"""A server whose model was changed says so, from which to which, and the command in the message keeps the gallery."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from facet import Client, FailedPrecondition
from facet.cli.app import app
from facet.runtime.models import ModelOrigin, record_models, sha256_of

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve


def facet(command: str, address: str) -> str:
    """The output of a command as it is typed, at a server."""
    name, *arguments = shlex.split(command)
    assert name == "facet"
    result = CliRunner().invoke(app, [*arguments, "--address", address])
    assert result.exit_code == 0, result.output
    return result.output


def test_what_the_error_says_when_models_embedding_was_changed_works_when_it_is_typed(
    serve: Serve, second_model: Path, pictures: Pictures
) -> None:
    flags = ("--models.objects", "none")
    first = serve(*flags)
    with Client(first.address) as client:
        client.create_gallery("team")
        client.enroll("team", "yao", pictures.yaoming)
    first.stop()

    other = (*flags, "--models.embedding", str(second_model))
    changed = serve(*other)
    with Client(changed.address) as client, pytest.raises(FailedPrecondition) as caught:
        client.identify("team", pictures.yaoming)
    error = caught.value
    assert error.reason == "CONTRACT_MISMATCH"
    assert (error.metadata["expected_model"], error.metadata["found_model"]) == ("w600k_mbf", "second")
    assert "was enrolled with w600k_mbf, and this server embeds with second" in error.message
    (warning,) = [line for line in changed.log_lines() if line["event"] == "gallery cannot be searched"]
    assert (warning["gallery"], warning["problem"]) == ("team", error.message)
    for command in ("facet gallery list", "facet status", "facet gallery migrate status team"):
        assert f"cannot be searched: {error.message}" in " ".join(facet(command, changed.address).split())
    changed.stop()

    setting = re.search(r"models.embedding_next=(\S+),", error.message)
    typed = re.search(r"run (facet .*)$", error.message)
    assert setting
    assert typed
    both = serve(*other, "--models.embedding-next", setting[1])
    with Client(both.address) as client:
        (found,) = client.identify("team", pictures.yaoming).faces
        assert found.identification.candidates[0].subject_id == "yao"
        facet(f"{typed[1]} --no-wait", both.address)
        found_gallery = client.get_gallery("team")
        assert (found_gallery.migration.to_model.name, found_gallery.problem) == ("second", "")


def test_a_model_in_the_models_folder_is_named_as_its_manifest_names_it(
    serve: Serve, second_model: Path, tmp_path: Path, pictures: Pictures
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copy(second_model, folder / "antelope.onnx")
    record_models(folder, [("antelope.onnx", ModelOrigin(sha256_of(second_model), "any", "a test"))])
    flags = ("--models.objects", "none", "--models.folder", str(folder))
    first = serve(*flags, "--models.embedding", "antelope")
    with Client(first.address) as client:
        client.create_gallery("team")
        client.enroll("team", "yao", pictures.yaoming)
    first.stop()
    changed = serve(*flags)
    with Client(changed.address) as client, pytest.raises(FailedPrecondition, match="embedding_next=antelope, then"):
        client.identify("team", pictures.yaoming)
    changed.stop()
    (folder / "antelope.onnx").unlink()
    lost = serve(*flags)
    digest = sha256_of(second_model)[:8]
    with Client(lost.address) as client, pytest.raises(FailedPrecondition, match=f"{digest}.*restore the file"):
        client.identify("team", pictures.yaoming)

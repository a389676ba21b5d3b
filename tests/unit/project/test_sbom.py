"""The software bill of materials: valid CycloneDX, complete, with digests and licences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from facet.cli.shared.dependencies import dependencies
from facet.runtime.extras import DISTRIBUTION
from facet.runtime.models import find_model, packaged_names

pytest.importorskip("cyclonedx", reason="needs cyclonedx-python-lib: scripts/install dev")

from cyclonedx.validation.json import JsonStrictValidator

from scripts.bill_of_materials import VERSION, locked_digests
from scripts.sbom import app


def written(folder: Path, *arguments: str) -> str:
    path = folder / "sbom.json"
    result = CliRunner().invoke(app, ["--out", str(path), *arguments])
    assert result.exit_code == 0, result.output
    return path.read_text("utf-8")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("sbom"))


@pytest.fixture(scope="module")
def components(text: str) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in json.loads(text)["components"]}


@pytest.mark.parametrize("extras", [(), ("camera", "evaluation"), ("dev",)], ids=" ".join)
def test_it_is_valid(extras: tuple[str, ...], tmp_path: Path) -> None:
    arguments = [argument for extra in extras for argument in ("--extra", extra)]
    assert JsonStrictValidator(VERSION).validate_str(written(tmp_path, *arguments)) is None


def test_it_lists_every_package_of_the_server_with_the_digests_of_the_lock(components: dict[str, Any]) -> None:
    digests = locked_digests()
    packages = {name: each for name, each in dependencies().items() if name != DISTRIBUTION}
    assert packages.keys() == components.keys() - set(packaged_names())
    for name, package in packages.items():
        (reference,) = components[name]["externalReferences"]
        assert components[name]["purl"] == f"pkg:pypi/{name}@{package.version}"
        assert {each["content"] for each in reference["hashes"]} == set(digests[name])


def test_it_lists_the_models_with_digest_and_licence(components: dict[str, Any]) -> None:
    for name in packaged_names():
        model = find_model(name)
        assert components[name]["type"] == "machine-learning-model"
        assert components[name]["hashes"] == [{"alg": "SHA-256", "content": model.sha256}]
        assert components[name]["licenses"] == [{"license": {"name": model.license}}]


def test_it_says_what_requires_what(text: str) -> None:
    document = json.loads(text)
    graph = {each["ref"]: each.get("dependsOn", []) for each in document["dependencies"]}
    whole = document["metadata"]["component"]["bom-ref"]
    reached, waiting = set(), [whole]
    while waiting:
        reference = waiting.pop()
        if reference not in reached:
            reached.add(reference)
            waiting += graph[reference]
    assert reached == {whole, *(each["bom-ref"] for each in document["components"])}

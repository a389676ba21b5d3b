"""The files in deploy/, read as those who use them read them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

yaml: Any = pytest.importorskip("yaml", reason="needs the extra dev: scripts/install dev")

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
CREDENTIALS = "/run/credentials/facet.service"
"""What systemd puts in place of %d."""


def dockerfile() -> list[list[str]]:
    """The instructions of the Dockerfile, continued lines joined, each as its words."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    return [line.split(maxsplit=1) for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def instructions(name: str) -> list[str]:
    """What follows an instruction of the last stage, such as ``ENV``."""
    last = max(number for number, (word, _) in enumerate(dockerfile()) if word == "FROM")
    return [" ".join(rest.split()) for word, rest in dockerfile()[last:] if word == name]


def image_environment() -> dict[str, str]:
    """The variables that the image sets for the server."""
    pairs = dict(word.split("=", 1) for line in instructions("ENV") for word in shlex.split(line))
    return {name: value for name, value in pairs.items() if name.startswith("FACET_")}


def documents(path: Path) -> list[Any]:
    """The documents of a YAML file."""
    return [*yaml.safe_load_all(path.read_text("utf-8"))]


def compose(name: str = "compose.yaml") -> dict[str, Any]:
    """A file of Docker Compose."""
    (found,) = documents(DEPLOY / name)
    return dict(found)


def resources() -> dict[str, Any]:
    """The resources that kustomization.yaml lists, by their kind."""
    folder = DEPLOY / "kubernetes"
    (kustomization,) = documents(folder / "kustomization.yaml")
    found = [each for name in kustomization["resources"] for each in documents(folder / name)]
    assert len({each["kind"] for each in found}) == len(found)
    return {each["kind"]: each for each in found}


def pod() -> dict[str, Any]:
    """The specification of a pod."""
    return dict(resources()["Deployment"]["spec"]["template"]["spec"])


def unit(*drop_ins: str) -> dict[str, list[str]]:
    """The settings of the systemd unit and of drop-ins, by their names."""
    folder = DEPLOY / "systemd"
    found: dict[str, list[str]] = {}
    for path in (folder / "facet.service", *(folder / "facet.service.d" / f"{name}.conf" for name in drop_ins)):
        for name, value in re.findall(r"^([A-Za-z]+)=(.*)$", path.read_text("utf-8"), re.MULTILINE):
            found.setdefault(name, []).append(value.replace("%d", CREDENTIALS))
    return found


def compose_environment(*names: str) -> dict[str, str]:
    """The variables that files of Docker Compose give to the server ``facet``, beside the image's."""
    return {key: value for name in names for key, value in compose(name)["services"]["facet"]["environment"].items()}


def pod_environment() -> dict[str, str]:
    """The variables that a pod gives to the server, beside the image's."""
    (container,) = pod()["containers"]
    return {each["name"]: each["value"] for each in container["env"]}


def unit_environment(*drop_ins: str) -> dict[str, str]:
    """The variables that the unit and drop-ins give to the server."""
    pairs = dict(line.split("=", 1) for line in unit(*drop_ins)["Environment"])
    return {name: value for name, value in pairs.items() if name.startswith("FACET_")}

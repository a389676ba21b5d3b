"""The software bill of materials of an installation, as CycloneDX: packages and models with digests and licences."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from facet.cli.shared.dependencies import UNDECLARED, Dependency, condition, note
from facet.runtime.extras import DISTRIBUTION
from facet.runtime.models import ModelFile
from scripts.lock import FOLDER, blocks

VERSION = SchemaVersion.V1_6
NOTE = "facet:license-note"
_DIGEST = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_FROM_PACKAGE = re.compile(r"from the package (\S+)$")


def document(packages: dict[str, Dependency], models: Iterable[ModelFile]) -> str:
    """The bill of materials of Facet, these packages and these models, as JSON."""
    outputter = make_outputter(make_bom(packages, list(models)), OutputFormat.JSON, VERSION)
    text: str = outputter.output_as_string(indent=2)
    return text


def make_bom(packages: dict[str, Dependency], models: list[ModelFile]) -> Bom:
    """The bill of materials of Facet, these packages and these models."""
    digests = locked_digests()
    components = {name: _package(each, digests.get(name, ())) for name, each in packages.items()}
    files = {model.name: _model(model) for model in models}
    whole = components[DISTRIBUTION]
    bom = Bom(components=[*(each for each in components.values() if each is not whole), *files.values()])
    bom.metadata.component = whole
    bom.metadata.tools.components.add(_tool())
    for name, component in components.items():
        required = [components[other] for other in packages[name].requires]
        contained = [files[model.name] for model in models if _package_of(model) == name]
        bom.register_dependency(component, [*required, *contained])
    return bom


def locked_digests() -> dict[str, tuple[str, ...]]:
    """The SHA-256 of all files of each package in requirements/."""
    return {
        name: tuple(_DIGEST.findall(block))
        for path in FOLDER.glob("*.txt")
        for name, block in blocks(path.read_text("utf-8")).items()
    }


def _package(package: Dependency, digests: Iterable[str]) -> Component:
    purl = PackageURL("pypi", None, package.name, package.version)
    files = [HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in digests]
    reference = ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(str(purl)), hashes=files)
    said = note(package)
    is_facet = package.name == DISTRIBUTION
    return Component(
        type=ComponentType.APPLICATION if is_facet else ComponentType.LIBRARY,
        name=package.name,
        version=package.version,
        bom_ref=str(purl),
        purl=purl,
        licenses=() if package.license == UNDECLARED else [LicenseFactory().make_from_string(package.license)],
        external_references=[reference] if files else (),
        properties=[Property(name=NOTE, value=said)] if said else (),
    )


def _model(model: ModelFile) -> Component:
    said = condition(model.license)
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=model.name,
        bom_ref=f"model:{model.name}",
        description=model.source,
        licenses=[LicenseFactory().make_with_name(model.license)],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=model.sha256)],
        properties=[Property(name=NOTE, value=said)] if said else (),
    )


def _package_of(model: ModelFile) -> str:
    found = _FROM_PACKAGE.search(model.source)
    return found[1] if found else ""


def _tool() -> Component:
    name = "cyclonedx-python-lib"
    return Component(type=ComponentType.LIBRARY, name=name, version=importlib.metadata.version(name))

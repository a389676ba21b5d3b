"""Provenance of figures: models, settings, labelled set, software and processor."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facet import __version__
from facet.evaluation.datasets.labels import LabelError, need_utf8
from facet.evaluation.report.document import Report
from facet.v1.server_service_pb2 import GetServerInfoResponse

_CPUINFO = Path("/proc/cpuinfo")
_LIBRARIES = ("numpy",)


def data_set(labels: Path | None, pictures: Mapping[str, Path]) -> Report:
    """Identify a labelled set by a digest over its labels and the bytes of all pictures.

    Args:
        labels: the file or folder of the labels; ``None`` without labels.
        pictures: the files of the pictures by name, in any order.

    Raises:
        LabelError: a file cannot be read, or its name is not UTF-8.
    """
    digest = hashlib.sha256()
    if labels:
        need_utf8(Path(labels.name))
    files = sorted(each for each in labels.rglob("*") if each.is_file()) if labels and labels.is_dir() else [labels]
    for file in files:
        if file is not None:
            digest.update(_sha256(file))
    for name, file in sorted(pictures.items()):
        need_utf8(Path(name))
        digest.update(name.encode("utf-8") + b"\0" + _sha256(file))
    return {"labels": labels.name if labels else "", "sha256": digest.hexdigest(), "pictures": len(pictures)}


def provenance(
    info: GetServerInfoResponse, *, data: Report, configuration: Mapping[str, Any], seed: int | None = None
) -> Report:
    """Build the provenance of a document.

    Args:
        info: the server's information about itself.
        data: see :func:`data_set`.
        configuration: the flags that affect the figures; the server's settings are added.
        seed: seed of the bootstrap; ``None`` without one.
    """
    return {
        "models": {
            model.role: {"name": model.name, "sha256": model.sha256, "head": model.head} for model in info.models
        },
        "contract": info.contract,
        "configuration": {
            **configuration,
            "server": {name: json.loads(value) for name, value in sorted(info.settings.items())},
        },
        "data_set": data,
        "software": {"facet": info.version, "server": dict(sorted(info.runtime.items())), "evaluation": _software()},
        "processor": processor(),
        "seed": seed,
    }


def processor() -> str:
    """The name of this machine's processor."""
    try:
        lines = _CPUINFO.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _software() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"facet": __version__, "python": platform.python_version(), **versions}


def _sha256(file: Path) -> bytes:
    try:
        return hashlib.sha256(file.read_bytes()).digest()
    except OSError as error:
        raise LabelError(file, None, f"cannot be read: {error.strerror}") from error

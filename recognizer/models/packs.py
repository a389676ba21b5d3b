"""InsightFace's packs of models: download them, and keep the files that the server can use."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import requests

from facet.runtime.inference.session import OnnxSession
from facet.runtime.models import INSIGHTFACE, ModelError, ModelFile, ModelOrigin, sha256_of, write_models
from recognizer.detection.scrfd import ScrfdDetector
from recognizer.embedding import Embedder

PACKS = ("buffalo_l", "buffalo_m", "buffalo_s", "buffalo_sc", "antelopev2", "raccoon_l", "raccoon_m", "raccoon_s")

RELEASE = "https://github.com/deepinsight/insightface/releases/download/model-zoo"
SILENCE = 60.0
"""Seconds without data after which a download fails."""

KNOWN = {
    "det_10g.onnx": "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91",
    "det_500m.onnx": "5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a",
    "glintr100.onnx": "4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf",
    "scrfd_10g_bnkps.onnx": "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91",
    "w600k_mbf.onnx": "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f",
    "w600k_r50.onnx": "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
}
"""Digests of files in InsightFace's packs. Upstream publishes none. A file that is not listed here is accepted as it
arrives, and its digest is recorded: from then on the server refuses any other."""


def fetch_pack(name: str, out: Path) -> dict[str, ModelOrigin]:
    """Download an InsightFace pack; keep its face detector and its recogniser in a folder, and record them.

    Args:
        name: one of :data:`PACKS`.
        out: the folder, made if it is missing.

    Returns:
        the origin of every file that was kept, by file name.

    Raises:
        requests.RequestException: the network does not reach the pack.
        zipfile.BadZipFile: what arrived is not a pack.
        ModelError: a digest is wrong, or the pack has no usable file. The folder is unchanged.
    """
    with tempfile.TemporaryDirectory(prefix="facet-fetch-") as folder:
        return install(download_pack(name, Path(folder)), out, f"InsightFace's pack {name}")


def download_pack(name: str, folder: Path) -> list[Path]:
    """Download an InsightFace pack into a folder; the model files in it.

    Raises:
        requests.RequestException: the network does not reach it.
        zipfile.BadZipFile: what arrived is not a pack.
    """
    archive = folder / f"{name}.zip"
    with requests.get(f"{RELEASE}/{name}.zip", stream=True, timeout=SILENCE) as response, archive.open("wb") as file:
        response.raise_for_status()
        for chunk in response.iter_content(1 << 20):
            file.write(chunk)
    with zipfile.ZipFile(archive) as pack:
        pack.extractall(folder / name)  # zipfile keeps members inside the folder
    return sorted((folder / name).rglob("*.onnx"))


def install(files: list[Path], out: Path, source: str) -> dict[str, ModelOrigin]:
    """Copy the models among files that the server can use into a folder, and record them.

    Raises:
        ModelError: a digest is wrong, or the pack has no usable file. The folder is unchanged.
    """
    origins: dict[Path, ModelOrigin] = {}
    for file in files:
        digest = check_digest(file)
        if _is_usable(file, digest):
            origins[file] = ModelOrigin(digest, INSIGHTFACE, source)
    if not origins:
        raise ModelError(f"{source} has neither a face detector nor a recogniser that the server can use")
    write_models(out, {file.name: (file.read_bytes(), origin) for file, origin in origins.items()})
    return {file.name: origin for file, origin in origins.items()}


def check_digest(file: Path) -> str:
    """Return the digest of a file of a pack.

    Raises:
        ModelError: InsightFace's file of this name has another digest.
    """
    digest = sha256_of(file)
    if digest != KNOWN.get(file.name, digest):
        raise ModelError(f"{file.name} has the SHA-256 {digest}, expected {KNOWN[file.name]}")
    return digest


def _is_usable(file: Path, digest: str) -> bool:
    session = OnnxSession(file)
    try:
        if ScrfdDetector(session).fixed_size is not None:
            return False
    except ModelError:
        try:
            Embedder(session, ModelFile(file.stem, file, digest, file.stat().st_size, INSIGHTFACE, str(file)))
        except ModelError:
            return False
    return True

"""``facet bench photos``: what decoding at a reduced size gains for a phone's and a camera's photos."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer

from facet import CENTRAL, Client, FacetError
from facet.benchmarks.serving.in_process import GALLERY, SUBJECT
from facet.benchmarks.serving.inputs import Inputs
from facet.benchmarks.serving.pictures import decoded, samples
from facet.benchmarks.serving.systems import SystemProcess
from facet.benchmarks.timing import timed
from facet.runtime.models import ModelError
from facet.runtime.process import configure_for_models
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.local_server import local_server
from facet.terminal.tables import number, table, whole
from gallery.errors import GalleryError

_SIZES = {"12mp": (4000, 3000), "36mp": (7360, 4912)}
_NOISE = 4.0
"""Standard deviation of a sensor's noise, grey levels. It makes a JPEG as large as those of phones: entropy decoding
takes time by its bytes."""
_QUALITY = 90


@dataclass(frozen=True, slots=True)
class Photo:
    """Identify on one photo: medians in milliseconds, interleaved calls.

    Attributes:
        name: ``12mp`` or ``36mp``.
        bytes: length of the JPEG.
        scaled_ms: over gRPC, with ``pictures.scaled_decoding``.
        full_ms: over gRPC, without it.
        faceanalysis_ms: OpenCV's decoding and FaceAnalysis in process, with a NumPy search.
        similarity: cosine of the embeddings with and without scaled decoding.
    """

    name: str
    bytes: int
    scaled_ms: float
    full_ms: float
    faceanalysis_ms: float
    similarity: float

    def document(self) -> dict[str, Any]:
        """As JSON; ratios are those of the medians."""
        name = f"photo_{self.name}"
        return {
            f"{name}_speedup": round(self.full_ms / self.scaled_ms, 2),
            f"{name}_speedup_over_faceanalysis": round(self.faceanalysis_ms / self.scaled_ms, 2),
            f"{name}_scaled_ms": self.scaled_ms,
            f"{name}_full_ms": self.full_ms,
            f"{name}_faceanalysis_ms": self.faceanalysis_ms,
            f"{name}_similarity": self.similarity,
            f"{name}_bytes": self.bytes,
        }


def photos(
    rounds: Annotated[int, typer.Option(min=1, help="How often each side is timed on each photo.")] = 11,
    as_json: AsJson = False,
) -> None:
    """Compare decoding at a reduced size with full decoding and with FaceAnalysis.

    Identifies one large face in JPEGs of 12 and 36 megapixels: over gRPC with [b]pictures.scaled_decoding[/b] on and
    off, and with OpenCV and InsightFace's FaceAnalysis in process. All sides use the same
    weights, search a gallery of 1,001 subjects, and take turns. Takes about a minute.

    [b]Examples[/b]

      facet bench photos
      facet bench photos --rounds 30 --json
    """
    configure_for_models()
    try:
        with tempfile.TemporaryDirectory(prefix="facet-bench-") as folder:
            measured = _measure(Inputs.prepare(samples(None), Path(folder)), rounds)
    except BrokenProcessPool:
        console.fail("a process of the comparison died; its reason is above")
    except (ModelError, FacetError, GalleryError, OSError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json({key: value for photo in measured for key, value in photo.document().items()})
    else:
        _print(measured, rounds)


def photo(portrait: bytes, width: int, height: int) -> bytes:
    """A JPEG of this size with one large face: the enlarged portrait with a sensor's noise.

    Args:
        portrait: an encoded picture of one face.
        width: pixels.
        height: pixels.
    """
    noise = np.random.default_rng(0)
    face = decoded(portrait)
    columns = height * face.shape[1] // face.shape[0]
    canvas = np.full((height, width, 3), 120, np.uint8)
    left = (width - columns) // 2
    canvas[:, left : left + columns] = cv2.resize(face, (columns, height), interpolation=cv2.INTER_CUBIC)
    for row in range(0, height, 256):  # in parts, because the noise is computed in floats
        part = canvas[row : row + 256]
        part[:] = np.clip(part + noise.normal(0, _NOISE, part.shape).astype(np.float32), 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


def _measure(inputs: Inputs, rounds: int) -> list[Photo]:
    portrait = inputs.pictures.one.data
    database = "--gallery.database"
    with (
        local_server(database, str(inputs.database("scaled"))) as scaled_address,
        local_server(*(database, str(inputs.database("full")), "--no-pictures.scaled-decoding")) as full_address,
        Client(scaled_address) as scaled,
        Client(full_address) as full,
        SystemProcess(inputs.baseline(tuned=False)) as baseline,
        console.progress("Identifying", rounds * len(_SIZES)) as bar,
    ):
        found = []
        for name, (width, height) in _SIZES.items():
            data = photo(portrait, width, height)
            times: list[tuple[float, float, float]] = []
            for _ in range(rounds):
                times.append((_identify(scaled, data), _identify(full, data), baseline.time(data).milliseconds))
                bar.advance(bar.task_ids[0])
            scaled_ms, full_ms, baseline_ms = (round(statistics.median(each), 2) for each in zip(*times, strict=True))
            similarity = float(_embedding(scaled, data) @ _embedding(full, data))
            found.append(Photo(name, len(data), scaled_ms, full_ms, baseline_ms, round(similarity, 4)))
    return found


def _identify(client: Client, data: bytes) -> float:
    """Milliseconds of the second of two calls; the first one warms up the server."""
    client.identify(GALLERY, data)
    milliseconds, answer = timed(lambda: client.identify(GALLERY, data))
    if [face.identification.candidates[0].subject_id for face in answer.faces] != [SUBJECT]:
        console.fail("the person in the photo was not identified")
    return milliseconds


def _embedding(client: Client, data: bytes) -> np.ndarray[Any, np.dtype[np.float32]]:
    (face,) = client.analyze_faces(data, include_embeddings=True, face=CENTRAL).faces
    return np.array(face.embedding.values, np.float32)


def _print(measured: Sequence[Photo], rounds: int) -> None:
    names = ("scaled, ms", "full, ms", "FaceAnalysis, ms", "full / scaled", "FaceAnalysis / scaled", "similarity")
    shown = table(whole("photo"), *map(number, names), title=f"Identify: medians of {rounds} rounds")
    for each in measured:
        ratios = (f"{each.full_ms / each.scaled_ms:.2f}", f"{each.faceanalysis_ms / each.scaled_ms:.2f}")
        times = (f"{each.scaled_ms:.1f}", f"{each.full_ms:.1f}", f"{each.faceanalysis_ms:.1f}")
        shown.add_row(f"{each.name}, {each.bytes / 1e6:.1f} MB", *times, *ratios, f"{each.similarity:.4f}")
    console.out.print(shown)

"""``facet bench photos``: what decoding at a reduced size gains for a phone's and a camera's photos."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer

from facet import CENTRAL, THOROUGH, Client, FacetError
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
_CROWDS = ((10_000, 600), (12_000, 2000), (8000, 6000))
_CROWD_FACES = 24
_CROWD_HEIGHT = 140
"""Pixels of the portrait, whose face has about two thirds of it."""
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


@dataclass(frozen=True, slots=True)
class Crowd:
    """Small faces in a large picture, 24 times the same.

    Attributes:
        name: width and height.
        fast_found: faces found by default.
        thorough_found: faces found with ``SEARCH_THOROUGH``.
        fast_ms: time of that call, over gRPC.
        thorough_ms: likewise.
        least_height: of the thorough search, pixels.
    """

    name: str
    fast_found: int
    thorough_found: int
    fast_ms: float
    thorough_ms: float
    least_height: float

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {f"small_faces_{self.name}_{key}": value for key, value in asdict(self).items() if key != "name"}


def photos(
    rounds: Annotated[int, typer.Option(min=1, help="How often each side is timed on each photo.")] = 11,
    as_json: AsJson = False,
) -> None:
    """Compare decoding at a reduced size with full decoding and with FaceAnalysis.

    Identifies one large face in JPEGs of 12 and 36 megapixels: over gRPC with [b]pictures.scaled_decoding[/b] on and
    off, and with OpenCV and InsightFace's FaceAnalysis in process. All sides use the same
    weights, search a gallery of 1,001 subjects, and take turns. Then looks for 24 small faces in larger pictures, by
    default and with SEARCH_THOROUGH. Takes about a minute.

    [b]Examples[/b]

      facet bench photos
      facet bench photos --rounds 30 --json
    """
    configure_for_models()
    try:
        with tempfile.TemporaryDirectory(prefix="facet-bench-") as folder:
            measured, crowds = _measure(Inputs.prepare(samples(None), Path(folder)), rounds)
    except BrokenProcessPool:
        console.fail("a process of the comparison died; its reason is above")
    except (ModelError, FacetError, GalleryError, OSError) as error:
        console.fail(str(error))
    if as_json:
        documents = [each.document() for each in measured] + [each.document() for each in crowds]
        console.print_json({key: value for document in documents for key, value in document.items()})
    else:
        _print(measured, crowds, rounds)


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


def crowd(portrait: bytes, width: int, height: int) -> bytes:
    """A JPEG of this size with the portrait at 24 random places of a grid.

    Args:
        portrait: an encoded picture of one face.
        width: pixels.
        height: pixels.
    """
    places = np.random.default_rng(1)
    face = decoded(portrait)
    size = (_CROWD_HEIGHT * face.shape[1] // face.shape[0], _CROWD_HEIGHT)
    small = cv2.resize(face, size, interpolation=cv2.INTER_AREA)
    canvas = np.full((height, width, 3), 120, np.uint8)
    rows = max(1, round((_CROWD_FACES * height / width) ** 0.5))
    columns = -(-_CROWD_FACES // rows)
    for at in range(_CROWD_FACES):
        cell_height, cell_width = height // rows, width // columns
        top = at // columns * cell_height + int(places.integers(cell_height - size[1]))
        left = at % columns * cell_width + int(places.integers(cell_width - size[0]))
        canvas[top : top + size[1], left : left + size[0]] = small
    return cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


def _searched(client: Client, portrait: bytes, width: int, height: int) -> Crowd:
    data = crowd(portrait, width, height)
    client.analyze_faces(data, search=THOROUGH)  # the runtime compiles a graph for each size of input
    fast_ms, fast = timed(lambda: client.analyze_faces(data))
    thorough_ms, thorough = timed(lambda: client.analyze_faces(data, search=THOROUGH))
    return Crowd(
        name=f"{width}x{height}",
        fast_found=len(fast.faces),
        thorough_found=len(thorough.faces),
        fast_ms=round(fast_ms, 1),
        thorough_ms=round(thorough_ms, 1),
        least_height=round(thorough.least_face_height, 1),
    )


def _measure(inputs: Inputs, rounds: int) -> tuple[list[Photo], list[Crowd]]:
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
        crowds = [_searched(scaled, portrait, *size) for size in _CROWDS]
    return found, crowds


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


def _print(measured: Sequence[Photo], crowds: Sequence[Crowd], rounds: int) -> None:
    names = ("scaled, ms", "full, ms", "FaceAnalysis, ms", "full / scaled", "FaceAnalysis / scaled", "similarity")
    shown = table(whole("photo"), *map(number, names), title=f"Identify: medians of {rounds} rounds")
    for each in measured:
        ratios = (f"{each.full_ms / each.scaled_ms:.2f}", f"{each.faceanalysis_ms / each.scaled_ms:.2f}")
        times = (f"{each.scaled_ms:.1f}", f"{each.full_ms:.1f}", f"{each.faceanalysis_ms:.1f}")
        shown.add_row(f"{each.name}, {each.bytes / 1e6:.1f} MB", *times, *ratios, f"{each.similarity:.4f}")
    console.out.print(shown)
    headings = ("fast, found", "fast, ms", "thorough, found", "thorough, ms", "least height")
    searches = table(whole("picture"), *map(number, headings), title=f"{_CROWD_FACES} small faces, one call")
    for every in crowds:
        fast = (str(every.fast_found), f"{every.fast_ms:.0f}")
        thorough = (str(every.thorough_found), f"{every.thorough_ms:.0f}")
        searches.add_row(every.name, *fast, *thorough, f"{every.least_height:.0f}")
    console.out.print(searches)

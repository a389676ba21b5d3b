"""``facet bench photos``: what decoding at a reduced size gains for a phone's and a camera's photos."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from facet import CENTRAL, THOROUGH, Client, FacetError
from facet.benchmarks.photos.pictures import CROWD_FACES, crowd, photo
from facet.benchmarks.photos.similarity import Change, changes
from facet.benchmarks.serving.in_process import GALLERY, SUBJECT
from facet.benchmarks.serving.inputs import Inputs
from facet.benchmarks.serving.pictures import samples
from facet.benchmarks.serving.systems import SystemProcess
from facet.benchmarks.timing import timed
from facet.evaluation.datasets.labels import LabelError
from facet.runtime.models import ModelError
from facet.runtime.process import configure_for_models
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.local_server import local_server
from facet.terminal.tables import number, table, whole
from gallery.errors import GalleryError

_SIZES = {"12mp": (4000, 3000), "36mp": (7360, 4912)}
_CROWDS = ((10_000, 600), (12_000, 2000), (8000, 6000))


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
    people: Annotated[
        Path | None, typer.Option(help="Folder of people: also compare the similarities of their faces in photos.")
    ] = None,
    faces: Annotated[int, typer.Option(min=1, help="Number of photos for --people.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the photos for --people.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Compare decoding at a reduced size with full decoding and with FaceAnalysis.

    Identifies one large face in JPEGs of 12 and 36 megapixels: over gRPC with [b]pictures.scaled_decoding[/b] on and
    off, and with OpenCV and InsightFace's FaceAnalysis in process. All sides use the same
    weights, search a gallery of 1,001 subjects, and take turns. Then looks for 24 small faces in larger pictures, by
    default and with SEARCH_THOROUGH. Takes about a minute.

    With [b]--people[/b], a folder of a folder for each person, it also decodes photos of them at a reduced size and
    fully: faces of many sizes and places, in 12 to 36 megapixels, of several JPEG qualities. It compares the two
    embeddings, and their similarities to another picture of the person. Takes about a second for each photo.

    [b]Examples[/b]

      facet bench photos
      facet bench photos --rounds 30 --json
      facet bench photos --people lfw/images --faces 400
    """
    configure_for_models()
    try:
        with tempfile.TemporaryDirectory(prefix="facet-bench-") as folder:
            measured, crowds = _measure(Inputs.prepare(samples(None), Path(folder)), rounds)
        changed = _changes(people, faces, seed) if people else []
    except BrokenProcessPool:
        console.fail("a process of the comparison died; its reason is above")
    except (ModelError, FacetError, GalleryError, LabelError, OSError) as error:
        console.fail(str(error))
    if as_json:
        documents = [each.document() for each in measured] + [each.document() for each in crowds]
        documents.append(_summary(changed))
        console.print_json({key: value for document in documents for key, value in document.items()})
    else:
        _print(measured, crowds, rounds)
        _print_changes(changed)


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


def _changes(people: Path, faces: int, seed: int) -> list[Change]:
    with console.progress("Comparing", faces) as bar:
        found = []
        for change in changes(people, faces, seed):
            found.append(change)
            bar.advance(bar.task_ids[0])
    return found


def _summary(changed: Sequence[Change]) -> dict[str, Any]:
    """Percentiles as JSON; empty without photos."""
    if not changed:
        return {}
    found: dict[str, Any] = {"photo_similarity_photos": len(changed)}
    for name in ("embedding", "similarity"):
        values = [getattr(each, name) for each in changed]
        found |= {f"photo_{name}_change_p{at}": round(float(np.percentile(values, at)), 5) for at in (50, 99, 100)}
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


def _print(measured: Sequence[Photo], crowds: Sequence[Crowd], rounds: int) -> None:
    names = ("scaled, ms", "full, ms", "FaceAnalysis, ms", "full / scaled", "FaceAnalysis / scaled", "similarity")
    shown = table(whole("photo"), *map(number, names), title=f"Identify: medians of {rounds} rounds")
    for each in measured:
        ratios = (f"{each.full_ms / each.scaled_ms:.2f}", f"{each.faceanalysis_ms / each.scaled_ms:.2f}")
        times = (f"{each.scaled_ms:.1f}", f"{each.full_ms:.1f}", f"{each.faceanalysis_ms:.1f}")
        shown.add_row(f"{each.name}, {each.bytes / 1e6:.1f} MB", *times, *ratios, f"{each.similarity:.4f}")
    console.out.print(shown)
    headings = ("fast, found", "fast, ms", "thorough, found", "thorough, ms", "least height")
    searches = table(whole("picture"), *map(number, headings), title=f"{CROWD_FACES} small faces, one call")
    for every in crowds:
        fast = (str(every.fast_found), f"{every.fast_ms:.0f}")
        thorough = (str(every.thorough_found), f"{every.thorough_ms:.0f}")
        searches.add_row(every.name, *fast, *thorough, f"{every.least_height:.0f}")
    console.out.print(searches)


def _print_changes(changed: Sequence[Change]) -> None:
    if not changed:
        return
    headings = ("median", "p99", "largest")
    shown = table(whole("change"), *map(number, headings), title=f"Reduced and full decoding: {len(changed)} photos")
    summary = _summary(changed)
    for name, label in (("embedding", "1 - cosine of both"), ("similarity", "similarity to another picture")):
        shown.add_row(label, *(f"{summary[f'photo_{name}_change_p{at}']:.4f}" for at in (50, 99, 100)))
    console.out.print(shown)

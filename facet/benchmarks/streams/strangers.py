"""``facet bench strangers``: how many strangers a stream names, by the size of its gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import cv2
import numpy as np
import typer

from facet import Client, FacetError
from facet.benchmarks.streams import people as crowd
from facet.benchmarks.streams.degradations import Degradation, degraded
from facet.evaluation.datasets.labels import LabelError
from facet.runtime.models import ModelError
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.local_server import local_server
from facet.terminal.tables import table

_SIZES = (1, 10, 100, 1000)
_FPS, _FRAMES = 5.0, 6
_MAX_GALLERIES, _MAX_ENROLLED = 10, 200
"""Small galleries are made several times with different people: at most this many, with this many people together."""


@dataclass(frozen=True, slots=True)
class Strangers:
    """The result for a size of the gallery.

    Attributes:
        subjects: people to enrol in a gallery.
        enrolled: share of them that were not refused.
        tries: streams of a stranger.
        named: streams of a stranger in which a frame had a name.
        subject_tries: streams of somebody who is enrolled, by another picture.
        subjects_named: those in which a frame had the right name.
    """

    subjects: int
    enrolled: float
    tries: int
    named: int
    subject_tries: int
    subjects_named: int


def strangers(
    people: Annotated[Path, typer.Argument(help="Folder with a folder of pictures per person.")],
    sizes: Annotated[
        list[int] | None, typer.Option("--size", min=1, help="People in a gallery. Can be repeated.")
    ] = None,
    tries: Annotated[int, typer.Option(min=1, max=10000, help="Number of strangers for each size.")] = 100,
    degrade: Annotated[
        Degradation, typer.Option(help="Spoil the enrolled pictures and the stream in this way.")
    ] = Degradation.NONE,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the choice of people and of their movements.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Show strangers to streams with galleries of several sizes, and count those that get a name.

    Each stream shows a picture of one stranger in six frames and decides by its own threshold. As many streams show
    other pictures of enrolled people, to tell what the threshold costs.

    [b]Example[/b]

      facet bench strangers lfw/images --size 1 --size 100 --degrade dark

    Exit code: 0 done, 1 failed, 2 bad usage.
    """
    sizes = sizes or list(_SIZES)
    try:
        pictures = crowd.pictures_by_person(people, at_least=1)
        if len(pictures) < max(sizes) + 2:
            console.fail(f"{people}: {max(sizes) + 2} people are needed", console.USAGE)
        with (
            local_server() as address,
            Client(address) as client,
            console.progress("Showing strangers", len(sizes) * tries) as bar,
        ):
            trial = _Trial(client, pictures, degrade, np.random.default_rng(seed), lambda: bar.advance(bar.task_ids[0]))
            results = [trial.run(size, tries) for size in sizes]
    except (ModelError, FacetError, LabelError, OSError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json({"named": sum(each.named for each in results), "sizes": [*map(asdict, results)]})
    else:
        _print(results)


@dataclass(frozen=True, slots=True)
class _Trial:
    client: Client
    pictures: dict[str, tuple[Path, ...]]
    degrade: Degradation
    rng: np.random.Generator
    advance: crowd.Advance

    def run(self, size: int, tries: int) -> Strangers:
        """Try galleries of a size."""
        count = max(1, min(_MAX_GALLERIES, _MAX_ENROLLED // size, tries))
        shares = [len(each) for each in np.array_split(np.arange(tries), count)]
        done = [self._gallery(size, share) for share in shares]
        enrolled, named, mated, right = (sum(each[place] for each in done) for place in range(4))
        return Strangers(size, round(enrolled / (size * count), 4), tries, named, mated, right)

    def _gallery(self, size: int, tries: int) -> tuple[int, int, int, int]:
        """People enrolled, strangers named, subjects shown, and subjects named, in one gallery."""
        names = [*self.pictures]
        order = [names[place] for place in self.rng.permutation(len(names))]
        subjects, others = order[:size], order[size:]
        gallery_id = f"strangers-{uuid4()}"
        self.client.create_gallery(gallery_id)
        try:
            pictures = {name: self._spoilt(self.pictures[name][0]) for name in subjects}
            refused = crowd.enroll(self.client, gallery_id, pictures)
            named = 0
            for place in range(tries):
                named += bool(self._names(gallery_id, self.pictures[others[place % len(others)]][-1]))
                self.advance()
            shown = [name for name in subjects if name not in refused and len(self.pictures[name]) > 1][:tries]
            right = sum(name in self._names(gallery_id, self.pictures[name][1]) for name in shown)
            return size - len(refused), named, len(shown), right
        finally:
            self.client.delete_gallery(gallery_id, force=True)

    def _names(self, gallery_id: str, path: Path) -> set[str]:
        scene = crowd.Scene(int(self.rng.integers(1 << 31)))
        frames = (degraded(frame, self.degrade, self.rng) for frame in scene.frames(path, _FRAMES))
        answers = crowd.answers(self.client, gallery_id, frames, _FPS)
        return set().union(*map(crowd.names, answers))

    def _spoilt(self, path: Path) -> bytes:
        picture = cv2.imread(str(path))
        if picture is None:
            raise OSError(f"cannot read {path}")
        return cv2.imencode(".png", degraded(np.asarray(picture, np.uint8), self.degrade, self.rng))[1].tobytes()


def _print(results: Sequence[Strangers]) -> None:
    shown = table("gallery", "enrolled", "strangers named", "subjects named", title="Strangers in streams")
    for each in results:
        shown.add_row(
            str(each.subjects),
            f"{each.enrolled:.3f}",
            f"{each.named} of {each.tries}",
            f"{each.subjects_named} of {each.subject_tries}",
        )
    console.out.print(shown)

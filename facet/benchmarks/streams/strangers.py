"""``facet bench strangers``: how many strangers a stream names, by the size of its gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from facet.benchmarks.streams import people as crowd
from facet.benchmarks.streams.degradations import Degradation, degraded, spoilt
from facet.benchmarks.streams.studio import Studio, open_studio
from facet.evaluation.datasets.labels import LabelError
from facet.runtime.models import ModelError
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.tables import table
from gallery.errors import GalleryError
from recognizer.errors import RecognizerError

_SIZES = (1, 10, 100, 1000)
_FPS, _FRAMES = 5.0, 6
_MAX_GALLERIES = 10
"""Small galleries are made so many times, with different people, as far as the people of the largest one last."""


@dataclass(frozen=True, slots=True)
class Strangers:
    """The result for a size of the gallery.

    Attributes:
        subjects: people to enrol in a gallery.
        galleries: number of galleries of this size, with different people.
        enrolled: share of the people that were not refused.
        tries: streams of a stranger.
        named: streams of a stranger in which a frame had a name.
        subject_tries: streams of somebody who is enrolled, by another picture.
        subjects_named: those in which a frame had the right name.
    """

    subjects: int
    galleries: int
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
    other pictures of enrolled people, to tell what the threshold costs. The server's recogniser and tracker run in this
    process, and look at the frames of a stranger once for galleries of all sizes.

    [b]Example[/b]

      facet bench strangers lfw/images --size 1 --size 100 --degrade dark

    Exit code: 0 done, 1 failed, 2 bad usage.
    """
    sizes = sizes or list(_SIZES)
    try:
        pictures = crowd.pictures_by_person(people, at_least=1)
        if len(pictures) < max(sizes) + 2:
            console.fail(f"{people}: {max(sizes) + 2} people are needed", console.USAGE)
        with open_studio() as studio, console.progress("Showing strangers", 2 * tries) as bar:
            rng = np.random.default_rng(seed)
            results = _Trials(studio, pictures, degrade, rng, lambda: bar.advance(bar.task_ids[0])).run(sizes, tries)
    except (ModelError, LabelError, RecognizerError, GalleryError, OSError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json({"named": sum(each.named for each in results), "sizes": [*map(asdict, results)]})
    else:
        _print(results)


@dataclass(frozen=True, slots=True)
class _Gallery:
    gallery_id: str
    subjects: frozenset[str]
    """Those that were not refused."""


@dataclass(frozen=True, slots=True)
class _Trials:
    studio: Studio
    pictures: Mapping[str, Sequence[Path]]
    degrade: Degradation
    rng: np.random.Generator
    advance: crowd.Advance

    def run(self, sizes: Sequence[int], tries: int) -> list[Strangers]:
        """Try galleries of several sizes."""
        names = [*self.pictures]
        order = [names[place] for place in self.rng.permutation(len(names))]
        strangers = order[max(sizes) :][:tries]
        enrolled = sorted(order[: max(sizes)], key=lambda name: len(self.pictures[name]) < 2)
        data = {name: spoilt(self.pictures[name][0], self.degrade, self.rng) for name in enrolled}
        galleries = {size: self._galleries(size, enrolled, data) for size in sizes}
        named, right, shown = (dict.fromkeys(sizes, 0) for _ in range(3))
        for place in range(tries):
            path = self.pictures[strangers[place % len(strangers)]][-1]
            chosen = {size: made[place % len(made)] for size, made in galleries.items()}
            for size, names_seen in self._names(path, chosen).items():
                named[size] += bool(names_seen)
            self.advance()
        known = [name for name in enrolled if len(self.pictures[name]) > 1][:tries]
        for name in known:
            chosen = {size: each for size, made in galleries.items() for each in made if name in each.subjects}
            for size, names_seen in self._names(self.pictures[name][1], chosen).items():
                shown[size] += 1
                right[size] += name in names_seen
            self.advance()
        return [
            Strangers(
                size,
                len(made),
                round(sum(len(each.subjects) for each in made) / (size * len(made)), 4),
                tries,
                named[size],
                shown[size],
                right[size],
            )
            for size, made in galleries.items()
        ]

    def _galleries(self, size: int, people: Sequence[str], pictures: Mapping[str, bytes]) -> list[_Gallery]:
        """Galleries of a size with different people."""
        made = []
        for first in range(0, min(len(people) - size + 1, _MAX_GALLERIES * size), size):
            gallery_id, subjects = f"strangers-{size}-{first}", people[first : first + size]
            refused = self.studio.enroll(gallery_id, {name: pictures[name] for name in subjects})
            made.append(_Gallery(gallery_id, frozenset(subjects).difference(refused)))
        return made

    def _names(self, path: Path, galleries: Mapping[int, _Gallery]) -> dict[int, set[str]]:
        """The names in a stream that shows a picture, for a gallery of each size."""
        self.studio.pipeline.forget()
        scene = crowd.Scene(int(self.rng.integers(1 << 31)))
        frames = [degraded(frame, self.degrade, self.rng) for frame in islice(scene.frames(path), _FRAMES)]
        return {
            size: set().union(*map(crowd.names, self.studio.answers(each.gallery_id, frames, _FPS)))
            for size, each in galleries.items()
        }


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

"""``facet bench replacement``: one person takes another's place in front of a camera."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from facet import Client, FacetError
from facet.benchmarks.streams import people as crowd
from facet.evaluation.datasets.labels import LabelError
from facet.runtime.models import ModelError
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.local_server import local_server
from facet.terminal.tables import table

_RATES = (0.5, 1.0, 2.0, 5.0, 10.0, 15.0)
_MIN_FRAMES = 3
"""Frames for which a person is shown at least, at low rates."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame of a trial.

    Attributes:
        person: who is in it.
        enrolled: whether that is a subject of the gallery.
        names: the names in the answer.
        embedded: number of faces that were embedded.
    """

    person: str
    enrolled: bool
    names: frozenset[str]
    embedded: int

    @property
    def is_wrong(self) -> bool:
        """Whether a name in the answer is not that of the person."""
        return bool(self.names - {self.person})


@dataclass(frozen=True, slots=True)
class Replacement:
    """The result at a frame rate.

    Attributes:
        fps: frames per second.
        trials: in each, a person who is enrolled is replaced by another one, and then comes back.
        trials_wrong: trials with a frame that has a name of somebody else than the person in it.
        frames: number of frames.
        frames_wrong: frames with such a name.
        named_share: share of the frames of enrolled people that have the right name.
        named_at_once: share of the appearances of enrolled people that have the right name within two frames.
        embeddings_per_frame: faces embedded per frame.
    """

    fps: float
    trials: int
    trials_wrong: int
    frames: int
    frames_wrong: int
    named_share: float
    named_at_once: float
    embeddings_per_frame: float


def replacement(
    people: Annotated[Path, typer.Argument(help="Folder with a folder of pictures per person, at least two for two.")],
    fps: Annotated[
        list[float] | None, typer.Option(min=0.1, max=60, help="Frames per second. Can be repeated.")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, max=10000, help="Number of trials at each rate.")] = 20,
    seconds: Annotated[float, typer.Option(min=0.1, max=60, help="How long a person is shown.")] = 2.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the choice of people and of their movements.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Replace one person by another at the same place, and count the frames with a name of somebody else.

    Enrols the first picture of a person and streams another one of them, then one of somebody else, then of the first
    person again, each for [b]--seconds[/b] of capture time and at least three frames. The second person is enrolled in
    every other trial, and a stranger in the rest. Nothing waits: the frames of a rate differ in their times only.

    [b]Example[/b]

      facet bench replacement lfw/images --trials 100 --json

    Exit code: 0 done, 1 failed, or a frame had a wrong name, 2 bad usage.
    """
    try:
        pictures = crowd.pictures_by_person(people, at_least=2)
        if len(pictures) < 2:
            console.fail(f"{people}: two people with two pictures each are needed", console.USAGE)
        drawn = crowd.pairs([*pictures], trials, seed)
        rates = fps or list(_RATES)
        results = []
        with (
            local_server() as address,
            Client(address) as client,
            console.progress("Replacing people", len(rates) * trials) as bar,
        ):
            for rate in rates:
                shown = []
                for number, (first, second) in enumerate(drawn):
                    cast = _Cast(first, second, pictures[first], pictures[second], is_known=number % 2 == 0)
                    shown.append(_trial(client, cast, rate, max(_MIN_FRAMES, round(seconds * rate)), seed + number))
                    bar.advance(bar.task_ids[0])
                results.append(summary(rate, shown))
    except (ModelError, FacetError, LabelError, OSError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json(
            {"frames_wrong": sum(each.frames_wrong for each in results), "rates": [*map(asdict, results)]}
        )
    else:
        _print(results)
    if any(each.frames_wrong for each in results):
        raise typer.Exit(console.FAILED)


@dataclass(frozen=True, slots=True)
class _Cast:
    first: str
    second: str
    first_pictures: Sequence[Path]
    second_pictures: Sequence[Path]
    is_known: bool

    @property
    def acts(self) -> Iterator[tuple[str, Path, bool]]:
        """Who is shown by which picture, one after the other, and whether they are enrolled."""
        yield self.first, self.first_pictures[1], True
        yield self.second, self.second_pictures[1], self.is_known
        yield self.first, self.first_pictures[-1], True


def _trial(client: Client, cast: _Cast, fps: float, count: int, seed: int) -> list[Shown]:
    """Show the people of a trial; nothing if a picture was refused."""
    gallery_id = f"replacement-{uuid4()}"
    client.create_gallery(gallery_id)
    try:
        enrolled = {cast.first: cast.first_pictures[0]}
        if cast.is_known:
            enrolled[cast.second] = cast.second_pictures[0]
        if crowd.enroll(client, gallery_id, enrolled):
            return []
        scene = crowd.Scene(seed)
        frames = chain.from_iterable(scene.frames(path, count) for _, path, _ in cast.acts)
        answers = crowd.answers(client, gallery_id, frames, fps)
        people = chain.from_iterable([(name, known)] * count for name, _, known in cast.acts)
        return [
            Shown(name, known, frozenset(crowd.names(answer)), answer.embedded)
            for (name, known), answer in zip(people, answers, strict=True)
        ]
    finally:
        client.delete_gallery(gallery_id, force=True)


def summary(fps: float, trials: Sequence[Sequence[Shown]]) -> Replacement:
    """Summarise the trials at a frame rate.

    Args:
        fps: frames per second.
        trials: the frames of each, in order; none if a picture was refused.
    """
    done = [frames for frames in trials if frames]
    frames = [*chain.from_iterable(done)]
    known = [each for each in frames if each.enrolled]
    acts = [
        [*act]
        for each in done
        for (_, is_known), act in groupby(each, lambda one: (one.person, one.enrolled))
        if is_known
    ]
    soon = [any(one.person in one.names for one in act[:2]) for act in acts]
    return Replacement(
        fps=fps,
        trials=len(done),
        trials_wrong=sum(any(one.is_wrong for one in each) for each in done),
        frames=len(frames),
        frames_wrong=sum(each.is_wrong for each in frames),
        named_share=round(sum(each.person in each.names for each in known) / max(1, len(known)), 4),
        named_at_once=round(sum(soon) / max(1, len(soon)), 4),
        embeddings_per_frame=round(sum(each.embedded for each in frames) / max(1, len(frames)), 4),
    )


def _print(results: Sequence[Replacement]) -> None:
    shown = table(
        *("fps", "trials", "wrong", "frames", "wrong frames", "named", "within 2 frames", "embedded per frame"),
        title="One person in another's place",
    )
    for each in results:
        counts = (each.trials, each.trials_wrong, each.frames, each.frames_wrong)
        shares = (each.named_share, each.named_at_once, each.embeddings_per_frame)
        shown.add_row(f"{each.fps:g}", *map(str, counts), *(f"{share:.3f}" for share in shares))
    console.out.print(shown)

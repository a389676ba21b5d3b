"""``facet bench replacement``: one person takes another's place in front of a camera."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from facet.benchmarks.streams import people as crowd
from facet.benchmarks.streams.studio import Studio, open_studio
from facet.evaluation.datasets.labels import LabelError
from facet.runtime.models import ModelError
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.tables import table
from facet.v1 import recognition_service_pb2 as pb
from gallery.errors import GalleryError
from recognizer.errors import RecognizerError

_RATES = (0.5, 1.0, 2.0, 5.0, 10.0, 15.0)
_MIN_FRAMES = 3
"""Frames for which a person is shown at least, at low rates."""
_MAX_TRIES = 20
"""Times as many pairs of people are drawn as there are trials, if pictures are refused."""

_REFUSED = "most pictures are refused: facet enroll {} --dry-run says why"


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame of a trial.

    Attributes:
        person: who is in it.
        enrolled: whether that is a subject of the gallery.
        names: the names in the answer.
        embedded: number of faces that were embedded.
        lookalikes: names of others that the gallery would give to the face in it alone.
    """

    person: str
    enrolled: bool
    names: frozenset[str]
    embedded: int
    lookalikes: frozenset[str] = frozenset()

    @property
    def is_false_match(self) -> bool:
        """Whether a name in the answer is not that of the person, but of somebody whom the face resembles enough."""
        return not self.is_wrong and bool(self.names - {self.person})

    @property
    def is_wrong(self) -> bool:
        """Whether a name in the answer is not that of the person, and the face does not support it."""
        return bool(self.names - {self.person} - self.lookalikes)


@dataclass(frozen=True, slots=True)
class Replacement:
    """The result at a frame rate.

    Attributes:
        fps: frames per second.
        trials: in each, a person who is enrolled is replaced by another one, and then comes back.
        trials_wrong: trials with a frame that is wrong.
        frames: number of frames.
        frames_wrong: frames with a name of somebody else than the person in it.
        false_matches: frames with such a name that the face in it supports: it alone reaches the threshold.
        named_share: share of the frames of enrolled people that have the right name.
        named_at_once: share of the appearances of enrolled people that have the right name within two frames.
        embeddings_per_frame: faces embedded per frame.
    """

    fps: float
    trials: int
    trials_wrong: int
    frames: int
    frames_wrong: int
    false_matches: int
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
    alike: Annotated[
        int, typer.Option(min=1, max=10000, help="Take the most similar of this many others as the second person.")
    ] = 1,
    gradual: Annotated[
        bool, typer.Option("--gradual", help="Let the next person move in front of the last one within a second.")
    ] = False,
    side: Annotated[
        int, typer.Option(min=40, max=360, help="Side of the part of a frame that shows a person, pixels.")
    ] = crowd.SIDE,
    detection_interval: Annotated[int, typer.Option(min=1, max=100, help="Run detection every N frames.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the choice of people and of their movements.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Replace one person by another at the same place, and count the frames with a name of somebody else.

    Enrols the first picture of a person and streams another one of them, then one of somebody else, then of the first
    person again, each for [b]--seconds[/b] of capture time and at least three frames. The second person is enrolled in
    every other trial, and a stranger in the rest. Nothing waits: the frames of a rate differ in their times only. The
    server's recogniser and tracker run in this process and look at every frame once for all rates.

    [b]Examples[/b]

      facet bench replacement lfw/images --trials 100 --json
      facet bench replacement lfw/images --alike 200 --detection-interval 5

    Exit code: 0 done, 1 failed, or a frame had a wrong name, 2 bad usage.
    """
    rates = fps or list(_RATES)
    try:
        pictures = crowd.pictures_by_person(people, at_least=2)
        if len(pictures) < 2:
            console.fail(f"{people}: two people with two pictures each are needed", console.USAGE)
        with open_studio() as studio, console.progress("Replacing people", trials) as bar:
            stage = _Stage(
                studio=studio,
                folder=people,
                pictures=pictures,
                seconds=seconds,
                side=side,
                gradual=gradual,
                detection_interval=detection_interval,
            )
            shown = stage.run(rates, trials, alike, seed, lambda: bar.advance(bar.task_ids[0]))
    except (ModelError, LabelError, RecognizerError, GalleryError, OSError) as error:
        console.fail(str(error))
    results = [summary(rate, shown[rate]) for rate in rates]
    if as_json:
        console.print_json(
            {"frames_wrong": sum(each.frames_wrong for each in results), "rates": [*map(asdict, results)]}
        )
    else:
        _print(results)
    if any(each.frames_wrong for each in results):
        raise typer.Exit(console.FAILED)


@dataclass(frozen=True, slots=True)
class _Act:
    person: str
    enrolled: bool
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    studio: Studio
    folder: Path
    pictures: Mapping[str, Sequence[Path]]
    seconds: float
    side: int
    gradual: bool
    detection_interval: int

    def run(
        self, rates: Sequence[float], trials: int, alike: int, seed: int, advance: crowd.Advance
    ) -> dict[float, list[list[Shown]]]:
        """The frames of all trials, by rate. People whose picture is refused take no part."""
        shown: dict[float, list[list[Shown]]] = {rate: [] for rate in rates}
        people = list(self.pictures)
        drawn, rng = crowd.pairs(people, seed), np.random.default_rng(seed)
        tried = 0
        while len(shown[rates[0]]) < trials:
            tried += 1
            if tried > _MAX_TRIES * trials:
                raise LabelError(self.folder, None, _REFUSED.format(self.folder))
            first, second = next(drawn)
            if alike > 1:
                second = self._most_alike(first, [people[at] for at in rng.permutation(len(people))[:alike]])
            number = len(shown[rates[0]])
            acts = [
                _Act(first, True, self.pictures[first][1]),
                _Act(second, number % 2 == 0, self.pictures[second][1]),
                _Act(first, True, self.pictures[first][-1]),
            ]
            self.studio.pipeline.forget()
            gallery_id = f"replacement-{tried}"
            enrolled = {each.person: self.pictures[each.person][0].read_bytes() for each in acts if each.enrolled}
            if self.studio.enroll(gallery_id, enrolled):
                continue
            played = self._frames(acts, max(rates), crowd.Scene(seed + tried, self.side))
            for rate in rates:
                shown[rate].append(self._trial(gallery_id, played, rate))
            advance()
        return shown

    def _frames(
        self, acts: Sequence[_Act], fps: float, scene: crowd.Scene
    ) -> list[tuple[_Act | None, list[crowd.Picture]]]:
        """The frames of each act, and of the changes between them, at the highest rate."""
        frames: list[tuple[_Act | None, list[crowd.Picture]]] = []
        for take, act in enumerate(acts):
            if self.gradual and take:
                changing = scene.change(acts[take - 1].path, act.path, max(1, round(fps)), len(acts) + take)
                frames.append((None, [*changing]))
            frames.append((act, [*islice(scene.frames(act.path, take), self._count(fps))]))
        return frames

    def _count(self, fps: float) -> int:
        return max(_MIN_FRAMES, round(self.seconds * fps))

    def _trial(
        self, gallery_id: str, played: Sequence[tuple[_Act | None, Sequence[crowd.Picture]]], fps: float
    ) -> list[Shown]:
        """Show the acts of a trial at a rate: as many frames of each, spread over those of a change."""
        frames: list[tuple[_Act | None, crowd.Picture]] = []
        for act, pictures in played:
            if act is None:
                places = np.linspace(0, len(pictures) - 1, min(len(pictures), max(1, round(fps)))).astype(int)
                frames += [(None, pictures[place]) for place in places]
            else:
                frames += [(act, picture) for picture in pictures[: self._count(fps)]]
        answers = self.studio.answers(
            gallery_id, [frame for _, frame in frames], fps, detection_interval=self.detection_interval
        )
        return [
            self._shown(gallery_id, act, frame, answer)
            for (act, frame), answer in zip(frames, answers, strict=True)
            if act is not None
        ]

    def _shown(self, gallery_id: str, act: _Act, frame: crowd.Picture, answer: pb.IdentifyStreamResponse) -> Shown:
        shown = Shown(act.person, act.enrolled, frozenset(crowd.names(answer)), answer.embedded)
        if not shown.is_wrong:
            return shown
        return replace(shown, lookalikes=frozenset(self.studio.supported(gallery_id, frame)))

    def _most_alike(self, first: str, others: Sequence[str]) -> str:
        """The one of several other people whose first picture is most similar."""
        mine = self.studio.template(self.pictures[first][0].read_bytes())
        templates = {name: self.studio.template(self.pictures[name][0].read_bytes()) for name in others}
        alike = {
            name: float(mine @ each)
            for name, each in templates.items()
            if name != first and mine is not None and each is not None
        }
        return max(alike, key=lambda name: alike[name], default=next(name for name in others if name != first))


def summary(fps: float, trials: Sequence[Sequence[Shown]]) -> Replacement:
    """Summarise the trials at a frame rate.

    Args:
        fps: frames per second.
        trials: the frames of each, in order.
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
        false_matches=sum(each.is_false_match for each in frames),
        named_share=round(sum(each.person in each.names for each in known) / max(1, len(known)), 4),
        named_at_once=round(sum(soon) / max(1, len(soon)), 4),
        embeddings_per_frame=round(sum(each.embedded for each in frames) / max(1, len(frames)), 4),
    )


def _print(results: Sequence[Replacement]) -> None:
    shown = table(
        *("fps", "trials", "wrong", "frames", "wrong frames", "false matches", "named", "within 2 frames"),
        "embedded per frame",
        title="One person in another's place",
    )
    for each in results:
        counts = (each.trials, each.trials_wrong, each.frames, each.frames_wrong, each.false_matches)
        shares = (each.named_share, each.named_at_once, each.embeddings_per_frame)
        shown.add_row(f"{each.fps:g}", *map(str, counts), *(f"{share:.3f}" for share in shares))
    console.out.print(shown)

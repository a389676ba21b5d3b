"""``facet bench online``: estimates without labels and drift alarms, on replays of a labelled set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import Progress

from facet.benchmarks.galleries.options import Images, Protocol, labelled_set
from facet.benchmarks.online.alarms import Detection, FalseAlarms, Site, staged
from facet.benchmarks.online.changes import CROWD, PICTURES, people
from facet.benchmarks.online.coverage import Hit, LabelledStream, covered, replay
from facet.benchmarks.online.faces import Face, embed, embed_crowd, recording_seconds
from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.datasets.protocol import Entry, read_protocol
from facet.evaluation.datasets.protocol import Protocol as LabelledSet
from facet.runtime.models import ModelError
from facet.runtime.pictures import PictureError
from facet.runtime.process import configure_for_models
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.tables import number, table
from recognizer.models.loading import load_models
from recognizer.pipeline import FacePipeline
from recognizer.settings import ModelSettings

_SEED = 0
_CHANGED = 360
"""Pictures of each staged change, half of them of strangers."""
_THRESHOLD_TARGET = 0.01
_MIN_TEMPLATES, _MIN_MATED, _MIN_NONMATED = 50, 100, 200


def online(
    protocol: Protocol = None,
    images: Images = None,
    rounds: Annotated[int, typer.Option(min=1, help="Replays of each window size and share of strangers.")] = 20,
    months: Annotated[int, typer.Option(min=1, help="Months without a change to simulate.")] = 12,
    as_json: AsJson = False,
) -> None:
    """Test the figures that a server estimates without labels, and its drift alarms.

    Takes some minutes on LFW: most of it to embed its faces. Replays are drawn from the set with replacement.

      1. Coverage: half of the strangers calibrate the gallery, the other half
         and the mated probes are replayed in windows of 500 and 5,000 faces,
         with 5 to 95 % strangers. How often is the truth in the interval?
      2. False alarms: the first 7 days of a site, as a server would take
         them, are the reference. Its light, traffic and crowd follow the time
         of day, and weekends have 15 % more strangers. Months like it, with
         10,000 faces a day, are compared with it, 250 faces at a time.
      3. Staged changes: after how many faces comes the alarm, and which
         quantity moved most?
      4. Recording: what counting a face costs, as a share of the time that
         detecting, aligning and embedding it takes.

    Columns: "covered", the share of windows whose own share lies in the interval; "expected covered", those whose
    interval has the share in the whole set; "faces", after which 95 % of the replays raised an alarm.

    [b]Examples[/b]

      facet bench online
      facet bench online --rounds 5 --months 2 --json
      facet bench online --protocol faces.csv --images faces/

    Exit code: 0 done, 1 a picture or model cannot be read, 2 bad usage.
    """
    csv, folder = labelled_set(protocol, images)
    configure_for_models()
    try:
        labelled = read_protocol(csv, folder)
        pipeline = FacePipeline(load_models(ModelSettings(objects=None)))
        templates, mated, nonmated, changed = _embedded(pipeline, labelled)
        recorded = recording_seconds(pipeline, labelled.probes[0])
    except (LabelError, ModelError, PictureError, OSError) as error:
        console.fail(str(error))
    if len(templates) < _MIN_TEMPLATES or len(mated) < _MIN_MATED or len(nonmated) < _MIN_NONMATED:
        console.fail(
            f"{csv} has faces of {len(templates)} subjects, {len(mated)} mated and {len(nonmated)} nonmated probes; "
            f"at least {_MIN_TEMPLATES}, {_MIN_MATED} and {_MIN_NONMATED} are needed"
        )
    stream = LabelledStream(templates, mated, nonmated)
    with console.progress("Estimating", rounds) as bar:
        hits = [hit for each in range(rounds) for hit in _advanced(replay(stream, each), bar)]
    with console.progress("Watching for drift", months) as bar:
        alarms, detections = _watch(stream, templates, [*nonmated, *mated], changed, months, bar)
    recording = recorded / float(np.median([each.seconds for each in (*nonmated, *mated)]))
    if as_json:
        console.print_json(_report(hits, alarms, detections, recording))
    else:
        _print(hits, alarms, detections, recording)


def _advanced(hits: Iterable[Hit], bar: Progress) -> list[Hit]:
    found = list(hits)
    bar.advance(bar.task_ids[0])
    return found


def _embedded(
    pipeline: FacePipeline, labelled: LabelledSet
) -> tuple[list[Face], list[Face], list[Face], dict[str, list[Face]]]:
    """Templates, mated and nonmated probes, and the probes of each staged change of pictures."""
    gallery = list({entry.subject: entry for entry in labelled.gallery}.values())
    templates = embed(pipeline, gallery, as_template=True, title="Embedding templates")
    enrolled = {face.subject for face in templates}
    by_role: dict[str, list[Entry]] = {"mated": [], "nonmated": []}
    for entry in labelled.probes:
        if entry.role == "nonmated" or entry.subject in enrolled:
            by_role[entry.role].append(entry)
    probes = {
        role: embed(pipeline, own, as_template=False, title=f"Embedding {role} probes") for role, own in by_role.items()
    }
    sample = _sample(by_role)
    changed = {
        name: embed(pipeline, sample, as_template=False, title=f"Embedding: {name}", change=change)
        for name, change in PICTURES.items()
    }
    changed[CROWD] = embed_crowd(pipeline, sample, title=f"Embedding: {CROWD}")
    return templates, probes["mated"], probes["nonmated"], changed


def _sample(by_role: Mapping[str, Sequence[Entry]]) -> list[Entry]:
    """As many mated as nonmated probes, in random order."""
    rng = np.random.default_rng(_SEED)
    drawn = [
        own[place]
        for own in by_role.values()
        for place in rng.permutation(len(own))[: _CHANGED // len(by_role)].tolist()
    ]
    return [drawn[place] for place in rng.permutation(len(drawn)).tolist()]


def _watch(
    stream: LabelledStream,
    templates: Sequence[Face],
    probes: Sequence[Face],
    changed: Mapping[str, Sequence[Face]],
    months: int,
    bar: Progress,
) -> tuple[FalseAlarms, dict[str, Detection]]:
    rng = np.random.default_rng(_SEED)
    threshold = stream.calibrate(np.arange(stream.nonmated), _THRESHOLD_TARGET).threshold
    site = Site(stream, np.array([each.measures.brightness for each in probes]), threshold)
    usual = site.reference(rng)
    alarms = site.false_alarms(usual, months, rng, advance=lambda: bar.advance(bar.task_ids[0]))
    changes = staged(changed, templates)
    changes |= {name: (stream.searches, weights) for name, weights in people(stream, probes).items()}
    return alarms, {
        name: site.detection(usual, searches, weights, rng) for name, (searches, weights) in changes.items()
    }


def _coverage(hits: Sequence[Hit], *, expected: bool) -> float:
    return round(sum(each.expected if expected else each.in_window for each in hits) / len(hits), 4)


def _report(
    hits: Sequence[Hit], alarms: FalseAlarms, detections: Mapping[str, Detection], recording: float
) -> dict[str, Any]:
    return {
        "coverage": _coverage(hits, expected=False),
        "coverage_expected": _coverage(hits, expected=True),
        "coverage_by": covered(hits),
        "false_alarms_per_month": alarms.per_month,
        "false_alarms": asdict(alarms),
        "detection_faces": {name: each.faces for name, each in detections.items()},
        "detections": {name: asdict(each) for name, each in detections.items()},
        "recording_share": round(recording, 6),
    }


def _print(hits: Sequence[Hit], alarms: FalseAlarms, detections: Mapping[str, Detection], recording: float) -> None:
    columns = map(number, ("faces", "strangers", "windows", "covered", "expected\ncovered", "width"))
    shown = table("figure", *columns, title=f"Coverage: {_coverage(hits, expected=False):.3f}")
    for row in covered(hits):
        shown.add_row(
            str(row["figure"]), str(row["faces"]), f"{row['strangers']:.2f}", str(row["windows"]),
            f"{row['coverage']:.2f}", f"{row['coverage_expected']:.2f}", f"{row['width']:.3f}",
        )  # fmt: skip
    console.out.print(shown)
    console.out.print()
    console.out.print(
        f"False alarms: {alarms.alarms} in {alarms.windows} windows, {alarms.per_month:g} a month at 10,000 faces a day"
    )
    console.out.print()
    found = table("staged change", number("faces"), number("within 500"), "moved most")
    for name, each in detections.items():
        found.add_row(name, "never" if each.faces is None else str(each.faces), f"{each.share:.2f}", each.moved)
    console.out.print(found)
    console.out.print()
    console.out.print(f"Recording: {100 * recording:.3f} % of the time that identifying a face takes")

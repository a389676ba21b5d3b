"""What a comparison says: a document for programs, and tables with a conclusion for people."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from facet.cli.evaluate.shared.output import shown, stacked
from facet.evaluation.comparison.differences import Compared
from facet.evaluation.comparison.labelled_set import LabelledSet, describe
from facet.evaluation.report.document import Report, to_json
from facet.evaluation.report.glossary import meaning
from facet.evaluation.report.provenance import processor
from facet.terminal import console, tables
from facet.terminal.counts import in_bytes

_LEAST = 0.001
"""Smaller probabilities are not told apart in the table."""
_COLOURS = {"A is better": "yellow", "B is better": "green"}

_COSTS: tuple[tuple[str, Callable[[Report], str]], ...] = (
    ("model", lambda each: str(each["name"])),
    ("dimension", lambda each: str(each["dimension"])),
    ("ms per face", lambda each: f"{each['ms_per_face']:.2f}"),
    ("in batches of 8", lambda each: f"{each['ms_per_face_of_eight']:.2f}"),
    ("runs on", lambda each: str(each["runtime"])),
    ("size", lambda each: in_bytes(each["bytes"])),
    ("licence", lambda each: str(each["license"])),
    ("SHA-256", lambda each: str(each["sha256"][:12])),
)


def plain(
    labelled: LabelledSet,
    compared: Sequence[Compared],
    *,
    costs: Sequence[Mapping[str, Any]],
    notes: Sequence[str],
    detector: str,
    without_face: int,
    refused: Sequence[Mapping[str, str]],
    seed: int,
    times: Mapping[str, Any],
) -> Report:
    """Build the document.

    Args:
        labelled: the set.
        compared: the figures.
        costs: what each model costs, see :func:`facet.cli.models.compare.models.costs`.
        notes: what a reader of the figures must know.
        detector: name of the model that found the faces.
        without_face: number of pictures that show no face.
        refused: ``{"image", "reason"}`` of each picture that could not be read.
        seed: of what is drawn.
        times: date and duration.
    """
    a, b = costs
    identification, verification = describe(labelled)
    found: Report = to_json(
        {
            "a": a,
            "b": b,
            "notes": notes,
            "figures": [_figure(each) for each in compared],
            "disagreements": {each.name: list(_disagreements(each, labelled)) for each in compared},
            "set": {
                "identification": identification,
                "verification": verification,
                "pictures": len(labelled.roles),
                "without_face": without_face,
            },
            "detector": detector,
            "refused": refused,
            "processor": processor(),
            "seed": seed,
            "times": times,
        }
    )
    return found


def _figure(each: Compared) -> Report:
    return {
        "name": each.name,
        "a": each.a,
        "b": each.b,
        "difference": each.difference,
        "probability": each.chance,
        "trials": len(each.trials.people) if each.trials else 0,
        "people": len(set(each.trials.people)) if each.trials else 0,
        "only_a_right": each.only_a,
        "only_b_right": each.only_b,
        "thresholds": [threshold if math.isfinite(threshold) else None for threshold in each.thresholds],
        "verdict": each.verdict,
    }


def _disagreements(each: Compared, labelled: LabelledSet) -> Iterator[dict[str, str]]:
    """The trials that only one of both models gets right."""
    trials = each.trials
    if trials is None:
        return
    for place, right_a, right_b in zip(trials.places.tolist(), trials.a.tolist(), trials.b.tolist(), strict=True):
        if right_a != right_b:
            yield {"right": "a" if right_a else "b", **_pictures(each.name, place, labelled)}


def _pictures(figure: str, place: int, labelled: LabelledSet) -> dict[str, str]:
    if labelled.protocol and figure.startswith(("rank", "fnir")):
        probe = labelled.protocol.probes[place]
        return {"image": probe.image, "subject": probe.subject}
    if labelled.pairs:
        pairs = labelled.pairs.pairs
        return {"image_a": pairs.images[pairs.a[place]], "image_b": pairs.images[pairs.b[place]]}
    return {}


def show(found: Report) -> None:
    """Print the document for people."""
    models = {"A": found["a"], "B": found["b"]}
    cost = tables.listing("What each costs", columns=3)
    cost.add_row("", *models)
    for name, shown_of in _COSTS:
        cost.add_row(name, *map(shown_of, models.values()))
    table = tables.table(
        *map(tables.whole, ("figure", "A", "B", "B - A", "A/B only")),
        tables.number("p"),
        tables.whole("verdict"),
        title="Accuracy on the same faces",
    )
    for each in found["figures"]:
        table.add_row(
            each["name"],
            *(shown(each[key]["value"]) for key in ("a", "b")),
            stacked(each["difference"]),
            f"{each['only_a_right']}/{each['only_b_right']}" if each["trials"] else "-",
            _probability(each["probability"]),
            Text(each["verdict"], _COLOURS.get(each["verdict"], "")),
        )
    console.out.print(cost)
    console.out.print(table)
    for sentence in sentences(found):
        console.out.print(sentence)


def _probability(chance: float | None) -> str:
    return f"<{_LEAST}" if chance is not None and chance < _LEAST else shown(chance, 3)


def sentences(found: Report) -> Iterator[str]:
    """What the figures are, what they are measured on, and which model is better."""
    yield from _explained(found)
    yield from _set(found)
    yield from (f"note: {note}" for note in found["notes"])
    yield from _conclusion(found)


def _explained(found: Report) -> Iterator[str]:
    for each in found["figures"]:
        why = each["difference"].get("note")
        yield f"{each['name']}: {why or meaning(each['name'], 'verification')}"
    yield (
        "A/B only: the number of probes or pairs that only A gets right, and that only B does; p: the probability that "
        "chance alone gives such a difference, by the exact test over people"
    )


def _set(found: Report) -> Iterator[str]:
    counts = found["set"]
    yield counts["identification"]
    yield counts["verification"]
    if without := counts["without_face"]:
        yield (f"pictures without a face: {without} of {counts['pictures']}; both models miss them")


def _conclusion(found: Report) -> Iterator[str]:
    """Sentences that say which model is better."""
    names = {"A": found["a"]["name"], "B": found["b"]["name"]}
    for side, name in names.items():
        if better := [each["name"] for each in found["figures"] if each["verdict"] == f"{side} is better"]:
            yield f"{side}, {name}, is better beyond chance in {', '.join(better)}."
    if within := [each["name"] for each in found["figures"] if each["verdict"] in ("within chance", "same")]:
        yield (
            f"The difference in {', '.join(within)} is not beyond chance: this set does not tell which model is better."
        )

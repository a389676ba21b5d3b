"""The page of a comparison: the figures, and the pictures that only one of both models gets right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from facet.cli.evaluate.shared.output import shown
from facet.cli.models.compare.output import sentences
from facet.evaluation.datasets.protocol import Protocol
from facet.evaluation.report.document import Report
from facet.evaluation.report.thumbnails import thumbnail
from facet.terminal.counts import counted
from facet.terminal.pictures.pairs_page import Pair, Section, Side, render

_MOST = 24
"""Pairs of pictures in a section."""


def page(found: Report, protocol: Protocol | None, files: Mapping[str, Path]) -> str:
    """Return the page as HTML.

    Args:
        found: the document, see :func:`facet.cli.models.compare.output.plain`.
        protocol: the set for identification, if there is one.
        files: the files of the pictures by name.
    """
    enrolled = {each.subject: each.image for each in reversed(protocol.gallery)} if protocol else {}
    text = [f"{side.upper()} is {found[side]['name']}: {_cost(found[side])}." for side in ("a", "b")]
    text += [
        f"{each['name']}: A {shown(each['a'])}, B {shown(each['b'])}, B - A {shown(each['difference'])}: "
        f"{each['verdict']}."
        for each in found["figures"]
        if each["trials"]
    ]
    sections = [section for each in found["figures"] for section in _sections(each, found, enrolled, files)]
    return render(f"{found['a']['name']} and {found['b']['name']}", [*text, *sentences(found)], sections)


def _cost(model: Report) -> str:
    return f"{model['dimension']} dimensions, {model['ms_per_face']:.2f} ms per face, licence {model['license']}"


def _sections(
    figure: Report, found: Report, enrolled: Mapping[str, str], files: Mapping[str, Path]
) -> Iterator[Section]:
    for side in ("a", "b"):
        trials = [each for each in found["disagreements"][figure["name"]] if each["right"] == side]
        more = f"; the first {_MOST} are shown" if len(trials) > _MOST else ""
        yield Section(
            f"{figure['name']}: only {side.upper()} is right",
            f"{found[side]['name']} is right and the other model is wrong about {counted(len(trials), 'trial')}{more}.",
            [_pair(each, enrolled, files) for each in trials[:_MOST]],
        )


def _pair(trial: Report, enrolled: Mapping[str, str], files: Mapping[str, Path]) -> Pair:
    if "image_a" in trial:
        return Pair(_side(trial["image_a"], files), _side(trial["image_b"], files))
    left, right = _side(trial["image"], files), _side(enrolled[trial["subject"]], files)
    return Pair(left, right, [("probe of, and enrolled", trial["subject"])])


def _side(image: str, files: Mapping[str, Path]) -> Side:
    return Side(image, picture=thumbnail(files[image]))

"""The page of a search for duplicates: the two faces of each finding side by side, and what to type."""

from __future__ import annotations

from collections.abc import Sequence

from facet.cli.gallery.duplicates.corrections import MOST_COMMANDS, Corrections
from facet.cli.people.options import utc
from facet.terminal.counts import counted
from facet.terminal.pictures.pairs_page import Pair, Section, Side, png, render
from facet.v1 import gallery_service_pb2 as pb

SECTIONS = (
    (
        pb.DuplicateFinding.KIND_SAME_PERSON,
        "Are they one person?",
        "These subjects may be one person who was enrolled twice. Twins and other relatives may be among them: tell "
        "them apart, and they are left out the next time.",
    ),
    (
        pb.DuplicateFinding.KIND_OTHER_SUBJECT,
        "Is the left picture under the wrong name?",
        "The left picture is more like another person than like the other pictures of its own. There may be many such "
        "pictures, even more than right ones: do not merge the two people then, but move the wrong pictures.",
    ),
    (
        pb.DuplicateFinding.KIND_UNLIKE_SUBJECT,
        "Do both pictures show this person?",
        "The left picture is unlike the other pictures of its person; the right one is the most similar of them. It "
        "may be a child's picture, or a poor one.",
    ),
)


def page(findings: Sequence[pb.DuplicateFinding], corrections: Corrections, *, least_chance: float) -> str:
    """Return the page as HTML."""
    text = [
        f"{counted(len(findings), 'finding')} with a chance of at least {least_chance:.2f}, the most probable first. A "
        "chance of 0.9 means that about nine in ten such findings are right, so look before you correct. It counts all "
        "pictures of both people; the chance of a suspect of facet calibrate counts single searches and may differ. "
        "Commands ask before they change anything; in a script, add --yes to those that merge, move or delete."
    ]
    if any(not side.crop for each in findings for side in (each.template, each.other_template)):
        text.append(
            "The server stores faces only if enrollment.keep_crops is on while they are enrolled. To find the picture "
            "of a template without one, compare its SHA-256 with those of your files: sha256sum FILES."
        )
    sections = [
        Section(title, meaning, [_pair(each, corrections) for each in findings if each.kind == kind])
        for kind, title, meaning in SECTIONS
    ]
    return render(f"Duplicates and wrong pictures in {corrections.gallery}", text, sections)


def _pair(finding: pb.DuplicateFinding, corrections: Corrections) -> Pair:
    facts = [("chance", f"{finding.chance:.3f}"), ("similarity", f"{finding.similarity:.3f}")]
    if finding.HasField("own_similarity"):
        facts.append(("similarity to its own", f"{finding.own_similarity:.3f}"))
    count = len(finding.template_ids)
    if finding.kind == pb.DuplicateFinding.KIND_SAME_PERSON:
        facts.append((f"pictures of {finding.template.template.subject_id} that match", f"{count}"))
    elif finding.kind == pb.DuplicateFinding.KIND_OTHER_SUBJECT:
        other = finding.other_template.template.subject_id
        shown = f"; the commands name {MOST_COMMANDS}" if count > MOST_COMMANDS else ""
        facts.append((f"pictures of {finding.template.template.subject_id} that match {other}", f"{count}{shown}"))
    elif count > 1:
        shown = f"; the commands name {MOST_COMMANDS}" if count > MOST_COMMANDS else ""
        facts.append(("pictures that may be wrong", f"{count}{shown}"))
    return Pair(_side(finding.template), _side(finding.other_template), facts, corrections.of(finding))


def _side(found: pb.FoundTemplate) -> Side:
    template = found.template
    lines = [
        *([found.display_name] if found.display_name else []),
        f"template {template.template_id}",
        f"enrolled {utc(template.create_time)} UTC",
        f"picture SHA-256 {template.picture_sha256}",
    ]
    return Side(template.subject_id, lines, png(found.crop))

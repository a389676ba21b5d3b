"""The commands that correct what a search for duplicates has found."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from facet.terminal.command_line.program import spelled
from facet.terminal.connection import usual_address
from facet.terminal.visible import one_line
from facet.v1 import gallery_service_pb2 as pb

MOST_COMMANDS = 5
"""How many templates of a finding get a command of their own."""


def merged(finding: pb.DuplicateFinding) -> tuple[str, str]:
    """Return whose id would disappear in a merge, and whose stays: that of the subject who was created first."""
    gone, kept = sorted((finding.template, finding.other_template), key=_created, reverse=True)
    return gone.template.subject_id, kept.template.subject_id


def _created(found: pb.FoundTemplate) -> int:
    # Servers of earlier versions do not tell when a subject was created.
    created = found.subject_create_time if found.HasField("subject_create_time") else found.template.create_time
    return created.ToNanoseconds()


@dataclass(frozen=True, slots=True)
class Corrections:
    """Makes commands for a gallery.

    Attributes:
        gallery: the gallery.
        address: the server.
    """

    gallery: str
    address: str

    def of(self, finding: pb.DuplicateFinding) -> list[tuple[str, str]]:
        """Return the commands for a finding, each with what it does."""
        own, other = finding.template.template, finding.other_template.template
        if finding.kind == pb.DuplicateFinding.KIND_SAME_PERSON:
            gone, kept = merged(finding)
            return [
                (self._people("merge", gone, kept), f"if they are one person; {one_line(kept)} keeps the id"),
                (self._people("apart", own.subject_id, other.subject_id), "if they are two people"),
            ]
        templates = finding.template_ids[:MOST_COMMANDS]
        if finding.kind == pb.DuplicateFinding.KIND_OTHER_SUBJECT:
            move = f"--from={own.subject_id}", f"--to={other.subject_id}"
            return [
                *((self._people("move", each, options=move), f"if it shows {other.subject_id}") for each in templates),
                (self._people("apart", own.subject_id, other.subject_id), "if the two are two people and all is right"),
            ]
        return [(self._people("forget-template", own.subject_id, *templates), "if it shows somebody else")]

    def _people(self, command: str, *arguments: str, options: Sequence[str] = ()) -> str:
        options = [*options, f"--gallery={self.gallery}"]
        if self.address != usual_address():
            options.append(f"--address={self.address}")
        # An id may begin with a dash.
        divider = ["--"] if any(each.startswith("-") for each in arguments) else []
        words = [*options, *divider, *arguments] if divider else [*arguments, *options]
        return spelled(f"facet people {command} {shlex.join(words)}")

"""The commands that correct what a search for duplicates has found."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from facet.terminal.connection import usual_address
from facet.terminal.program import spelled
from facet.v1 import gallery_service_pb2 as pb

MOST_COMMANDS = 5
"""How many templates of a finding get a command of their own."""


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
            # The one who was enrolled first keeps the id.
            gone, kept = (
                (own, other) if own.create_time.ToNanoseconds() > other.create_time.ToNanoseconds() else (other, own)
            )
            return [
                (self._people("merge", gone.subject_id, kept.subject_id), "if they are one person"),
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

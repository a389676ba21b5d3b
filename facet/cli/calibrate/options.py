"""The options of a calibration: that of a gallery, and that of the model that a gallery migrates to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from facet.cli.shared import choices
from gallery.calibration.thresholds import MAX_TARGET_FPIR


@dataclass(frozen=True, slots=True)
class CalibrationOptions:
    """The options, see :func:`facet.terminal.command_line.option_groups.grouped_options`.

    Attributes:
        fpir: the target.
        protocol: a labelled set.
        images: the folder of its images.
        also_mated: include its mated lines.
        people: a folder of people who are not enrolled.
        cohort: another gallery.
        for_templates: the size to calibrate for.
        without_suspects: leave out suspects.
        skip_unreadable: continue without files that cannot be sent.
        face: which face of each picture.
        dry_run: change nothing.
        insist: set an unreliable threshold.
        page: the page of suspects.
    """

    fpir: Annotated[float, typer.Option(help="Target FPIR: the share of unknown people that may match somebody.")] = (
        0.01
    )
    protocol: Annotated[
        Path | None,
        typer.Option(help="Pictures of a labelled set: a CSV with role, subject, image.", show_default=False),
    ] = None
    images: Annotated[Path | None, typer.Option(help="The folder of the CSV's images.", show_default=False)] = None
    also_mated: Annotated[
        bool, typer.Option("--also-mated", help="Include the CSV's mated lines; a search leaves out its own subject.")
    ] = False
    people: Annotated[
        Path | None,
        typer.Option(
            "--strangers",
            help="Pictures of unknown people: a folder with NAME/picture.jpg or NAME.jpg.",
            show_default=False,
        ),
    ] = None
    cohort: Annotated[str, typer.Option(help="Another gallery, of other people.", show_default=False)] = ""
    for_templates: Annotated[
        int, typer.Option(min=0, help="Calibrate for a gallery of this many templates; 0: as many as now.")
    ] = 0
    without_suspects: Annotated[
        bool,
        typer.Option(
            "--without-suspects",
            help="Leave out suspects: probes so similar to a subject that they may show the same person. They are "
            "listed either way.",
        ),
    ] = False
    skip_unreadable: Annotated[
        bool,
        typer.Option(
            "--skip-unreadable",
            help="Continue without files that cannot be read, are too large, or do not say whom they show.",
        ),
    ] = False
    face: choices.Face = "central"
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure and say what the threshold will do; change nothing.")
    ] = False
    insist: Annotated[bool, typer.Option("--insist", help="Set the threshold although it would be unreliable.")] = False
    page: Annotated[
        Path | None,
        typer.Option(help="Write a page (HTML) that shows the faces of the suspects side by side.", show_default=False),
    ] = None

    def check(self) -> None:
        """Refuse options that contradict each other.

        Raises:
            BadParameter: they do.
        """
        if not 0 < self.fpir <= MAX_TARGET_FPIR:
            raise typer.BadParameter(f"{self.fpir} must be above 0 and at most {MAX_TARGET_FPIR}", param_hint="--fpir")
        if sum(map(bool, (self.protocol, self.people, self.cohort))) > 1:
            raise typer.BadParameter("choose one of --protocol, --strangers and --cohort")
        if (self.protocol is None) != (self.images is None):
            raise typer.BadParameter("--protocol and --images go together")
        if self.page is not None and not self.page.parent.is_dir():
            raise typer.BadParameter(f"there is no folder {self.page.parent}", param_hint="--page")

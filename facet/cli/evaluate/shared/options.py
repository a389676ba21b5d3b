"""Flags that several evaluations have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Images = Annotated[Path, typer.Option(help="Folder of the pictures.", show_default=False)]
Rotate = Annotated[
    Literal["0", "90", "180", "270"],
    typer.Option(help="Turn every picture clockwise by so many degrees before it is sent."),
]
Search = Annotated[
    Literal["fast", "thorough"],
    typer.Option(help="How faces are looked for: thorough also searches large pictures in tiles, and takes longer."),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the resampling that gives the intervals.")]
Mistakes = Annotated[int, typer.Option(min=0, help="Number of the worst mistakes of each kind to list.")]
ReportFolder = Annotated[
    Path | None,
    typer.Option("--report", help="Folder to write report.json and a self-contained report.html to."),
]
Groups = Annotated[
    Path | None,
    typer.Option(
        "--groups",
        metavar="CSV",
        help="Error rates by group: CSV with the column subject, and one for each attribute, such as age.",
        show_default=False,
    ),
]
AllowUnknownSubjects = Annotated[
    bool,
    typer.Option("--allow-unknown-subjects", help="Skip lines of --groups whose subject is not in the set."),
]
Require = Annotated[
    list[str] | None,
    typer.Option(
        "--require",
        help="Exit with code 1 unless a figure keeps its bound, as in 'recall>=0.9'. Can be repeated.",
        show_default=False,
    ),
]

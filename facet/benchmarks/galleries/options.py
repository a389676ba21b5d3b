"""Options of benchmarks that work on the faces of a labelled set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facet.terminal import console
from facet.terminal.installation import ROOT

_LFW = ROOT.parent / "shared" / "data" / "lfw"

Protocol = Annotated[
    Path | None,
    typer.Option(
        help="Labelled set of faces: a CSV with role, subject, image. Default: LFW in ../shared next to a clone.",
        show_default=False,
    ),
]
Images = Annotated[
    Path | None, typer.Option(help="The folder of its images. Default: that of LFW.", show_default=False)
]


def labelled_set(protocol: Path | None, images: Path | None) -> tuple[Path, Path]:
    """The labelled set that the options name, or LFW; exits with a usage error if it is missing.

    Args:
        protocol: of ``--protocol``.
        images: of ``--images``.

    Returns:
        The CSV and the folder of images.
    """
    csv, folder = protocol or _LFW / "identification.csv", images or _LFW / "images"
    for path in (csv, folder):
        if not path.exists():
            console.fail(f"{path} does not exist: name a labelled set with --protocol and --images", console.USAGE)
    return csv, folder

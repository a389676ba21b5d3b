"""The flags that name a set for identification: a protocol, or two folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facet.evaluation.datasets.protocol import Protocol, read_protocol
from facet.evaluation.datasets.protocol_folders import read_folders
from facet.terminal import console

ProtocolFile = Annotated[
    Path | None,
    typer.Option(
        help="CSV with the columns role (gallery, mated, nonmated), subject, image; needs --images.",
        show_default=False,
    ),
]
ProtocolImages = Annotated[
    Path | None,
    typer.Option(help="Folder of the pictures of --protocol.", show_default=False),
]
GalleryFolder = Annotated[
    Path | None,
    typer.Option(
        help="Instead of --protocol: a folder with one folder of pictures per subject to enrol.",
        show_default=False,
    ),
]
ProbesFolder = Annotated[
    Path | None,
    typer.Option(
        help="With --gallery: a folder with one folder of probes per person. People who are not in --gallery are "
        "nonmated. A picture outside these folders belongs to the subject that it is named after.",
        show_default=False,
    ),
]


def need_set(protocol: Path | None, images: Path | None, gallery: Path | None, probes: Path | None) -> None:
    """Exit with a usage error if the flags name no set, or two."""
    if bool(protocol and images) == bool(gallery and probes) or ((protocol or images) and (gallery or probes)):
        console.fail("name the set: --protocol with --images, or --gallery with --probes", console.USAGE)


def read_set(protocol: Path | None, images: Path | None, gallery: Path | None, probes: Path | None) -> Protocol:
    """Read the set; exits with a usage error if the flags name none, or two.

    Raises:
        LabelError: the set cannot be used.
    """
    need_set(protocol, images, gallery, probes)
    if protocol and images:
        return read_protocol(protocol, images)
    return read_folders(Path(gallery or ""), Path(probes or ""))

"""Options of commands that send pictures: which faces to look for, and how to decide."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Literal

import typer

from facet import CENTRAL, FAST, LARGEST, THOROUGH
from facet.client.pictures import Turn
from facet.v1 import types_pb2 as pb

_TURNS: dict[str, Turn] = {"auto": "auto", "as-is": "as-is", "90": 90, "180": 180, "270": 270}

Face = Annotated[
    str,
    typer.Option(
        metavar="central|largest|X1,Y1,X2,Y2",
        help="Which face of a picture to use: the large one near the middle, the largest, or the one in a box.",
    ),
]

TurnOption = Annotated[
    Literal["auto", "as-is", "90", "180", "270"],
    typer.Option(help="The clockwise turn in degrees that makes the pictures upright; auto: the server finds out."),
]

Thorough = Annotated[
    bool, typer.Option("--thorough", help="Also find faces that are small in a large picture; takes longer.")
]

TopK = Annotated[int, typer.Option(min=1, max=100, help="Number of candidates per face.")]

Threshold = Annotated[
    float | None, typer.Option(min=-1, max=1, help="Use this similarity threshold instead of the gallery's.")
]

DistinctSubjects = Annotated[
    bool,
    typer.Option("--distinct-subjects", help="Name nobody twice in a picture: the most similar face gets the name."),
]


def search(*, thorough: bool) -> pb.Search.ValueType:
    """How thoroughly to look for faces, by the option ``--thorough``."""
    return THOROUGH if thorough else FAST


def parse_turn(value: str) -> Turn:
    """Parse the value of the option ``--turn``."""
    return _TURNS[value]


def parse(value: str) -> pb.FaceChoice | None:
    """Parse the option's value; ``None`` if it is empty. Exits with a usage error if it is invalid."""
    if not value:
        return None
    if value == "central":
        return CENTRAL
    if value == "largest":
        return LARGEST
    try:
        x1, y1, x2, y2 = (float(part) for part in value.split(","))
    except ValueError:
        raise typer.BadParameter(f"{value!r} is not central, largest or X1,Y1,X2,Y2", param_hint="--face") from None
    if not (all(map(isfinite, (x1, y1, x2, y2))) and x1 < x2 and y1 < y2):
        raise typer.BadParameter(
            f"{value!r} is not a box: X1 must be less than X2, and Y1 less than Y2", param_hint="--face"
        )
    return pb.FaceChoice(box=pb.Box(x1=x1, y1=y1, x2=x2, y2=y2))

"""Faces to count."""

from __future__ import annotations

from gallery.observations.tally import FaceMeasures, Tally
from gallery.records.identifications import Decision

MEASURES = FaceMeasures(quality=0.8, size=64, yaw=-12, pitch=4, sharpness=0.35, brightness=0.5, score=0.9)


def a_tally(matches: int = 2, unknown: int = 1, refused: int = 1) -> Tally:
    """A tally of one picture for each face, in a gallery of 100 templates."""
    tally = Tally()
    for _ in range(matches):
        tally.add_face(MEASURES, Decision.MATCH, best=0.62, runner_up=0.21, templates_compared=100)
    for _ in range(unknown):
        tally.add_face(MEASURES, Decision.UNKNOWN, best=0.22, runner_up=0.2, templates_compared=100)
    for _ in range(refused):
        tally.add_face(MEASURES, Decision.REFUSED)
    for _ in range(matches + unknown + refused):
        tally.add_picture(1)
    return tally

"""Searches a picture as it is, and again in the turns in which it shows faces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from recognizer.analysis import Analysis
from recognizer.progress import Progress, Turns
from recognizer.search.orientation import MAX_LOSS, OTHER_TURN_SCORE, TURNS, Orientation, is_upright

SearchTurn: TypeAlias = Callable[[int], Analysis]
"""Finds the objects and faces of a picture in one turn, in the coordinates of its pixels as they are."""


@dataclass(frozen=True, slots=True)
class TurnedSearch:
    """Finds the faces of a picture, whichever way up it is.

    Attributes:
        orientation: tells which way up faces are.
        min_score: minimum score of a face that may tell it.
        max_faces: most faces returned; those with the highest scores are kept.
    """

    orientation: Orientation
    min_score: float
    max_faces: int

    def any_way_up(self, pixels: NDArray[np.uint8], search: SearchTurn, progress: Progress) -> Analysis:
        """Search a picture as it is, and again in the turns that its faces, or a look at the whole, tell.

        Args:
            pixels: what ``search`` looks at, BGR ``(h, w, 3)``.
            search: searches it in one turn.
            progress: times the looks and may stop them.
        """
        as_it_is = search(0)
        faces = as_it_is.at_least(self.min_score).faces
        if is_upright(faces):
            return as_it_is
        with progress.stage("faces"):
            main, *others = self.orientation.turns(pixels, faces, progress.check, trace=as_it_is.trace)
        best = as_it_is
        if main:
            upright = search(main)
            # Not the sum: in a wrong turn one face may be found twice.
            lost = as_it_is.faces.scores.max(initial=0.0) - upright.faces.scores.max(initial=0.0)
            if len(upright.faces) and lost < MAX_LOSS:
                best = upright
        for other in others:
            best = best.with_faces(search(other), self.max_faces)
        return best

    def every_way_up(self, analysis: Analysis, search: SearchTurn) -> Turns[Analysis]:
        """Add faces of any other turn, beside those of the picture's turn; yields between turns.

        SCRFD finds some upright faces in a wrong turn, too. So a face that is there already is only replaced by one
        with a much higher score.
        """
        for turn in (each for each in TURNS if each != analysis.main_turn):
            yield
            found = search(turn).at_least(OTHER_TURN_SCORE)
            analysis = analysis.with_faces(found, self.max_faces, lead=MAX_LOSS)
        return analysis

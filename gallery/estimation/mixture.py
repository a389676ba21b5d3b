"""A mixture of strangers and mates, fitted to counts of best similarity and margin by Gibbs sampling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gallery.estimation.strangers import Change, Floats, Strangers

MAX_FACES = 2000
"""More faces than this do not make intervals narrower, because the model is never quite right (Miller and Dunson 2019,
"Robust Bayesian inference via coarsening")."""

_SEED = 0
_SWEEPS, _WARM_UP = 450, 150
_CLEAR_MARGIN = 0.2
"""Margins of strangers are rarely larger."""
_CLEAR_SHARE = 0.002
"""Without margins: the share of strangers whose best similarity is as high as that of a clear mate."""
_MIN_CLEAR = 10
_MIDDLE = 0.5
"""Where mates are looked for if none is clear."""
_FREE_FROM = 0.3
"""The density of mates is free above this quantile of the clear mates, and rises up to it."""
_TAILS_FROM = (0.8, 0.97)
"""Mates below this quantile of strangers cannot be told from strangers. Where that begins depends on how well the curve
fits, so both are tried."""
_NEAR = (0.97, 0.1)
"""Similarities just above those of strangers: from this quantile of strangers on, and how far."""
_PRIOR_MATES = 0.5
"""Faces that the prior for the density of mates is worth, half of them where the density rises."""
_STEPS = (0.002, 0.03, 0.06)


@dataclass(frozen=True, slots=True)
class Spread:
    """How much similarities to other people may have changed since the calibration: standard deviations.

    Attributes:
        shift: of :attr:`Change.shift`, whose mean is 0.
        log_scale: of :attr:`Change.log_scale`, whose mean is 0.
        log_closeness: of :attr:`Change.log_closeness`, whose mean is 0.08, as in LFW.
    """

    shift: float = 0.03
    log_scale: float = 0.1
    log_closeness: float = 0.15


_MEANS = np.array((0.0, 0.0, 0.08))


@dataclass(frozen=True, slots=True)
class Draws:
    """Draws from the posterior distribution, one line per draw.

    Attributes:
        like_strangers: the share of searches for strangers, and for mates that cannot be told from them.
        strangers: the number of searches that were taken for ones for strangers, of ``faces``.
        false_positives: the number of these at the threshold or above.
        expected_fpir: the FPIR by the changed curve.
        missed: the share of the other mates that are below the threshold, or less similar than somebody else.
        near: the share of the other mates whose own similarity is just above those of strangers.
        faces: the number of faces that counted, at most :data:`MAX_FACES`.
    """

    like_strangers: Floats
    strangers: Floats
    false_positives: Floats
    expected_fpir: Floats
    missed: Floats
    near: Floats
    faces: float


def draw(
    counts: NDArray[np.int64],
    best_edges: Floats,
    margin_edges: Floats,
    strangers: Strangers,
    *,
    threshold: float,
    spread: Spread,
) -> Draws:
    """Draw from the posterior distribution of the mixture.

    A face belongs to a stranger, whose best two subjects are as in :class:`Strangers`, or to a mate, whose runner-up is
    as the best of a stranger. A mate's own similarity has a density that rises up to where mates are clear (a mixture
    of uniforms, Khinchine 1938), and is free above. So the margins alone tell strangers from mates in every bin of the
    best similarity above the strangers' bulk.

    Each sweep draws the face's kind (Tanner and Wong 1987), the shares and the density given the kinds, and the change
    of the strangers' similarities given all of that, by Metropolis steps. The same input gives the same draws.

    Args:
        counts: shape ``(b, m)``, at least one.
        best_edges: see :meth:`Strangers.cells`.
        margin_edges: see :meth:`Strangers.cells`; two edges if there are no margins.
        strangers: what strangers score.
        threshold: of the gallery.
        spread: see :class:`Spread`.
    """
    first = min(int(np.flatnonzero(counts.sum(1))[0]), int(np.searchsorted(best_edges, strangers.quantile(0.001))) - 1)
    first = max(0, min(first, len(counts) - 2))
    reaches = np.clip((best_edges[first + 1 :] - threshold) / np.diff(best_edges[first:]), 0, 1)
    from_near = strangers.quantile(_NEAR[0])
    below = np.clip((np.array((from_near, from_near + _NEAR[1]))[:, None] - best_edges[first:-1]), 0, None)
    is_near = np.diff(np.minimum(below / np.diff(best_edges[first:]), 1), axis=0)[0]
    keep = min(1.0, MAX_FACES / float(counts.sum()))
    kept = []
    for tail_from in _TAILS_FROM:
        chain = _Chain(counts[first:], best_edges[first:], margin_edges, strangers, spread, tail_from)
        for sweep in range(_SWEEPS):
            chain.sweep(keep, adapt=sweep < _WARM_UP)
            if sweep >= _WARM_UP:
                found = float((chain.mates * chain.runner_up.sum(1) * reaches).sum())
                reached = float((chain.as_strangers.sum(1) * reaches).sum())
                expected = strangers.false_positive_rate(threshold, chain.change)
                near = float(chain.mates @ is_near)
                kept.append((chain.like_strangers, chain.as_strangers.sum(), reached, expected, 1 - found, near))
    figures = np.array(kept, np.float64).T
    like_strangers, taken, false_positives, expected_fpir, missed, near = figures
    total = keep * float(counts.sum())
    return Draws(like_strangers, taken, false_positives, expected_fpir, missed, near, total)


class _Chain:
    """The state of the sampler."""

    def __init__(
        self,
        counts: NDArray[np.int64],
        best_edges: Floats,
        margin_edges: Floats,
        strangers: Strangers,
        spread: Spread,
        tail_from: float,
    ) -> None:
        self._rng = np.random.default_rng(_SEED)
        self._counts, self._best_edges, self._margin_edges = counts, best_edges, margin_edges
        self._strangers = strangers
        self._deviations = np.array((spread.shift, spread.log_scale, spread.log_closeness))
        self._steps = np.array(_STEPS)
        clear = self._clear_mates()
        self._parts = self._density_parts(clear, tail_from)
        is_free = self._parts.max(1) >= 1
        self._prior = _PRIOR_MATES / 2 / np.where(is_free, is_free.sum(), (~is_free).sum())
        weights = self._prior + ((self._parts > 0) @ clear) * is_free
        self._weights = weights / weights.sum()
        self._place = _MEANS.copy()
        self._cells, self.runner_up = self._at(self._place)
        self.like_strangers = float(np.clip(1 - clear.sum() / counts.sum(), 0.02, 0.98))
        self.as_strangers = np.zeros_like(counts)

    @property
    def change(self) -> Change:
        """The change of the strangers' similarities."""
        return _change(self._place)

    @property
    def mates(self) -> Floats:
        """The share of mates whose own similarity is in each bin, shape ``(b,)``."""
        return np.asarray(self._weights @ self._parts, np.float64)

    def sweep(self, keep: float, *, adapt: bool) -> None:
        """Draw everything once, from a random part of the counts.

        Args:
            keep: the share of the counts to use, (0, 1].
            adapt: adapt the size of the steps.
        """
        counts = self._counts if keep >= 1 else self._rng.binomial(self._counts, keep)
        self._draw_change(counts, adapt=adapt)
        stranger, mate, lost = self._mixture(self._cells, self.runner_up)
        own = self._rng.binomial(counts, mate / np.maximum(stranger + mate, 1e-300))
        self.as_strangers = counts - own
        beaten = int(self._rng.binomial(self.as_strangers.sum(), self._share_of(lost)))
        of_rows = own.sum(1)
        if beaten:
            of_rows = of_rows + self._rng.multinomial(beaten, lost / lost.sum())
        of_parts = (self._weights[:, None] * self._parts).T + 1e-12
        of_parts /= of_parts.sum(1, keepdims=True)
        drawn = self._rng.gamma(self._prior + self._rng.multinomial(of_rows, of_parts).sum(0))
        self._weights = np.maximum(drawn, 1e-12) / np.maximum(drawn, 1e-12).sum()
        self.like_strangers = float(
            self._rng.beta(0.5 + float(self.as_strangers.sum() - beaten), 0.5 + float(of_rows.sum()))
        )

    def _draw_change(self, counts: NDArray[np.int64], *, adapt: bool) -> None:
        """Take one Metropolis step (1953)."""
        stranger, mate, _ = self._mixture(self._cells, self.runner_up)
        place = self._place + self._steps * self._rng.standard_normal(3)
        cells, runner_up = self._at(place)
        other_stranger, other_mate, _ = self._mixture(cells, runner_up)
        logarithms = np.log(np.maximum(other_stranger + other_mate, 1e-9)) - np.log(np.maximum(stranger + mate, 1e-9))
        gain = float((counts * logarithms).sum()) + self._log_prior(place) - self._log_prior(self._place)
        accepted = math.log(self._rng.random()) < gain
        if accepted:
            self._place, self._cells, self.runner_up = place, cells, runner_up
        if adapt:
            self._steps = self._steps * (1.06 if accepted else 0.98)

    def _mixture(self, cells: Floats, runner_up: Floats) -> tuple[Floats, Floats, Floats]:
        """The probabilities of strangers' and mates' cells, and of mates that somebody else beats, by row."""
        mates = (1 - self.like_strangers) * self.mates
        lost = mates * (1 - runner_up.sum(1))
        return (self.like_strangers + lost.sum()) * cells, mates[:, None] * runner_up, lost

    def _share_of(self, lost: Floats) -> float:
        return float(lost.sum() / (lost.sum() + self.like_strangers))

    def _log_prior(self, place: Floats) -> float:
        return -0.5 * float((((place - _MEANS) / self._deviations) ** 2).sum())

    def _at(self, place: Floats) -> tuple[Floats, Floats]:
        change = _change(place)
        cells = self._strangers.cells(self._best_edges, self._margin_edges, change)
        return cells, self._strangers.runner_up(self._best_edges, self._margin_edges, change)

    def _clear_mates(self) -> Floats:
        """The number of faces in each row that are mates without doubt."""
        if len(self._margin_edges) > 2:
            return np.asarray(self._counts[:, self._margin_edges[:-1] >= _CLEAR_MARGIN].sum(1), np.float64)
        is_high = self._best_edges[:-1] >= self._strangers.quantile(1 - _CLEAR_SHARE)
        return np.where(is_high, self._counts.sum(1), 0).astype(np.float64)

    def _density_parts(self, clear: Floats, tail_from: float) -> Floats:
        """The densities that the density of mates is a mixture of, shape ``(parts, b)``; each sums to 1."""
        edges = self._best_edges
        free = int(np.searchsorted(edges, _MIDDLE)) - 1
        if clear.sum() >= _MIN_CLEAR:
            free = int(np.searchsorted(np.cumsum(clear), _FREE_FROM * clear.sum()))
        free = min(max(free, 1), len(edges) - 2)
        start = int(np.searchsorted(edges, self._strangers.quantile(tail_from))) - 1
        start = min(max(start, 0), free - 1)
        rising = [_uniform(left, free, len(edges) - 1) for left in range(start, free)]
        free_bins = [_uniform(row, row + 1, len(edges) - 1) for row in range(free, len(edges) - 1)]
        return np.array(rising + free_bins, np.float64)


def _uniform(left: int, right: int, length: int) -> Floats:
    density = np.zeros(length)
    density[left:right] = 1 / (right - left)
    return density


def _change(place: Floats) -> Change:
    shift, log_scale, log_closeness = place.tolist()
    return Change(shift, log_scale, log_closeness)

"""How two models agreed on the faces of a gallery."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

import numpy as np

from facet.server.shadow.comparison import Cost, Outcome, decided, names
from gallery.intervals import wilson
from gallery.migration.shadowing import ModelRoles
from gallery.records.identifications import Identification

MAX_DISAGREEMENTS = 100
BINS = 40
"""Bins of a distribution on the wire, of width 0.05 from -1 on."""
_FINE = 10
"""Bins that are counted for each of these, for percentiles."""
_COSTS = 1000
"""The latest identifications whose cost counts."""
_CLUSTER_BITS = 16


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A face that two models decided about differently.

    Attributes:
        time: when.
        serving: the answer of the model that searches, with its best candidate only, who has no name; see
            :func:`facet.server.shadow.comparison.kept`.
        shadow: that of the other one.
        crop_png: the aligned face; empty if it may not be kept.
    """

    time: datetime
    serving: Identification
    shadow: Identification
    crop_png: bytes = b""

    def names(self, subject_ids: Collection[str]) -> bool:
        """Whether it names one of these subjects."""
        return names(self.serving, subject_ids) or names(self.shadow, subject_ids)

    @property
    def subject_ids(self) -> set[str]:
        """Everybody whom it names."""
        found = {each.subject_id for answer in (self.serving, self.shadow) for each in answer.candidates}
        return (found | {self.serving.too_close_to, self.shadow.too_close_to}) - {""}


class Similarities:
    """The distribution of the similarities of best candidates.

    Attributes:
        count: how many there are.
    """

    def __init__(self) -> None:
        self._bins = np.zeros(BINS * _FINE, np.int64)
        self._sum = 0.0
        self.count = 0

    def add(self, answer: Identification) -> None:
        """Count the best candidate of an answer, if it has one."""
        if answer.candidates:
            similarity = answer.candidates[0].similarity
            self._bins[min(int((similarity + 1) / 2 * self._bins.size), self._bins.size - 1)] += 1
            self._sum += similarity
            self.count += 1

    @property
    def mean(self) -> float:
        """Their mean; 0 without any."""
        return self._sum / self.count if self.count else 0.0

    def percentile(self, share: float) -> float:
        """The similarity below which a share of them is, to 0.0025; 0 without any."""
        if not self.count:
            return 0.0
        place = int(np.searchsorted(np.cumsum(self._bins), share * self.count))
        return (place + 0.5) / self._bins.size * 2 - 1

    @property
    def counts(self) -> list[int]:
        """The counts of the bins of the wire."""
        return [int(count) for count in self._bins.reshape(BINS, _FINE).sum(1)]


class Costs:
    """What the latest identifications took for each face."""

    def __init__(self) -> None:
        self._latest: deque[Cost] = deque(maxlen=_COSTS)

    def add(self, cost: Cost) -> None:
        """Add an identification."""
        self._latest.append(cost)

    def median(self) -> Cost:
        """The medians; 0 without any."""
        if not self._latest:
            return Cost(0.0, 0.0)
        return Cost(median(each.embed for each in self._latest), median(each.search for each in self._latest))


class ShadowTally:
    """Adds up comparisons of two models in a gallery. The caller lets only one thread use it at a time.

    No vector gets here, and no crop unless the caller may keep it.

    Args:
        roles: the models.
        since: when it began.

    Attributes:
        roles: the models.
        since: when it began.
        outcomes: faces by outcome.
        serving_similarity: of the best candidates of the model that searches.
        shadow_similarity: of those of the other one.
        serving_cost: what a face takes.
        shadow_cost: what it takes with the other model, which embeds one face after the other.
        disagreements: the latest ones, the oldest first.
        dropped: identifications that were chosen and not compared.
    """

    def __init__(self, roles: ModelRoles, since: datetime) -> None:
        self.roles = roles
        self.since = since
        self.outcomes: Counter[Outcome] = Counter()
        self.serving_similarity, self.shadow_similarity = Similarities(), Similarities()
        self.serving_cost, self.shadow_cost = Costs(), Costs()
        self.disagreements: deque[Disagreement] = deque(maxlen=MAX_DISAGREEMENTS)
        self.dropped = 0
        self._clusters: Counter[int] = Counter()
        self._salt = random.getrandbits(64)

    @property
    def faces(self) -> int:
        """Faces that both models could decide about."""
        return self.outcomes.total() - self.outcomes[Outcome.NOT_EMBEDDED]

    def add(
        self, pairs: Sequence[tuple[Identification, Identification, Outcome]], serving_cost: Cost, shadow_cost: Cost
    ) -> None:
        """Add the faces of an identification: the answers of both models, and the outcomes."""
        request = random.getrandbits(_CLUSTER_BITS)
        for serving, shadow, outcome in pairs:
            self.outcomes[outcome] += 1
            if outcome is not Outcome.NOT_EMBEDDED:
                self.serving_similarity.add(serving)
                self.shadow_similarity.add(shadow)
                person = decided(serving) or decided(shadow)
                self._clusters[self._cluster(person) if person else request] += 1
        self.serving_cost.add(serving_cost)
        self.shadow_cost.add(shadow_cost)

    def forget(self, subject_ids: Collection[str]) -> None:
        """Drop the disagreements that name one of these subjects."""
        left = [each for each in self.disagreements if not each.names(subject_ids)]
        if len(left) < len(self.disagreements):
            self.disagreements = deque(left, MAX_DISAGREEMENTS)

    @property
    def agreement(self) -> float:
        """The share of faces about which both decided alike; 0 without any."""
        agreed = sum(count for outcome, count in self.outcomes.items() if outcome.is_agreement)
        return agreed / self.faces if self.faces else 0.0

    @property
    def independent_faces(self) -> int:
        """How many independent faces the faces are worth: Kish's effective sample size, over people and pictures.

        The faces of one person are not independent, nor are strangers in one picture. So faces form clusters: those
        that are decided for one subject, by the model that searches or else by the other one, and those of one request
        that both decide to be nobody. The faces of a cluster count as if they had the same outcome, which makes the
        interval rather too wide than too narrow. A stranger who is in many pictures is not recognised, and counts for
        each. At most 65536 clusters are kept apart. They name nobody: subjects and requests fall into them by hash.
        """
        squares = sum(faces * faces for faces in self._clusters.values())
        return self.faces * self.faces // squares if squares else 0

    @property
    def agreement_interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the agreement, over :attr:`independent_faces`; 0 to 1 without any."""
        trials = self.independent_faces
        return wilson(self.agreement * trials, trials) if trials else (0.0, 1.0)

    def _cluster(self, subject_id: str) -> int:
        return hash((self._salt, subject_id)) & ((1 << _CLUSTER_BITS) - 1)

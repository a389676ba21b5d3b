"""The migration of a gallery from one embedding model to another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from gallery.records.calibrations import Calibration
from gallery.records.thresholds import ThresholdSource

MODEL_DIGITS = 8
"""The fewest digits of a digest that name a model."""


class MigrationEnd(Enum):
    """How a migration ends; until it does, both models have embeddings. The values are stored."""

    NOT_YET = ""
    """It does not end yet: it can be switched and rolled back."""
    DROPPING = "dropping"
    """The embeddings of the model that does not search are being dropped."""
    DROPPING_WITH_CROPS = "dropping with crops"
    """The same, and the crops of all templates are being deleted."""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """An embedding model.

    Attributes:
        contract: its embedding contract.
        name: how people call it, such as "w600k_mbf"; may be empty.
        sha256: the hexadecimal digest of its file; may be empty.
        dimension: values of an embedding.
    """

    contract: str
    name: str
    sha256: str
    dimension: int

    @property
    def called(self) -> str:
        """How an error names it."""
        return self.name or self.sha256[:MODEL_DIGITS] or self.contract[:MODEL_DIGITS]


@dataclass(frozen=True, slots=True)
class ThresholdSettings:
    """The threshold of one of the two models.

    Attributes:
        threshold: see :class:`gallery.records.galleries.Gallery`, like the others.
        source: where it comes from.
        calibration: its calibration.
    """

    threshold: float
    source: ThresholdSource
    calibration: Calibration | None = None


@dataclass(frozen=True, slots=True)
class Migration:
    """A gallery on its way from one embedding model to another. Which of the two searches is the gallery's contract.

    Attributes:
        migration_id: a UUIDv7.
        source: the model that the gallery had.
        target: the model that it gets.
        other: the threshold of the model that does not search.
        start_time: when it began; UTC, to the microsecond.
        switch_time: when the search last went from one model to the other; ``None`` if never.
        shadow_share: the share of live identifications that are searched with both models, [0, 1].
        end: whether it ends.
    """

    migration_id: str
    source: ModelVersion
    target: ModelVersion
    other: ThresholdSettings
    start_time: datetime
    switch_time: datetime | None = None
    shadow_share: float = 0.0
    end: MigrationEnd = MigrationEnd.NOT_YET

    @property
    def is_ending(self) -> bool:
        """Whether one of the models is being dropped."""
        return self.end is not MigrationEnd.NOT_YET

    def is_switched(self, contract: str) -> bool:
        """Whether the new model searches, by the gallery's contract."""
        return contract == self.target.contract

    def other_model(self, contract: str) -> ModelVersion:
        """Return the model that does not search, by the gallery's contract."""
        return self.source if self.is_switched(contract) else self.target

    def model(self, contract: str) -> ModelVersion:
        """Return the model of one of the two contracts."""
        return self.target if contract == self.target.contract else self.source

    def with_other(self, other: ThresholdSettings) -> Migration:
        """Return the migration with another threshold of the model that does not search."""
        return replace(self, other=other)

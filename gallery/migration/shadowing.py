"""How the searches of a gallery are compared with those of the other model of its migration."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gallery.opened.open_gallery import SearchSettings
from gallery.records.migrations import ModelVersion


@dataclass(frozen=True, slots=True)
class ModelRoles:
    """Which model of a migration searches, and how each of the two decides. With other roles, comparisons begin anew.

    Attributes:
        migration_id: the migration.
        switch_time: when the search last went from one model to the other; ``None`` if never.
        serving: the model that searches.
        shadow: the other one.
        serving_threshold: the lowest similarity of a match by the model that searches, [-1, 1].
        shadow_threshold: that by the other one.
        mean_of_best: see :class:`gallery.records.galleries.Gallery`.
    """

    migration_id: str
    switch_time: datetime | None
    serving: ModelVersion
    shadow: ModelVersion
    serving_threshold: float
    shadow_threshold: float
    mean_of_best: int


@dataclass(frozen=True, slots=True)
class Shadowing:
    """How searches are compared.

    Attributes:
        share: the share of live identifications that are searched with both models, [0, 1].
        roles: the models.
    """

    share: float
    roles: ModelRoles

    @staticmethod
    def of(settings: SearchSettings) -> Shadowing | None:
        """Return how the searches of a gallery are compared; ``None`` if it is not being migrated, or no longer."""
        migration = settings.migration
        if migration is None or migration.is_ending:
            return None
        roles = ModelRoles(
            migration.migration_id,
            migration.switch_time,
            migration.model(settings.contract),
            migration.other_model(settings.contract),
            settings.threshold,
            migration.other.threshold,
            settings.mean_of_best,
        )
        return Shadowing(migration.shadow_share, roles)

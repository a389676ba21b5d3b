"""Errors about the migration of a gallery to another embedding model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gallery.errors.base import GalleryError


class MigrationError(GalleryError):
    """An error about a gallery's migration."""

    kind = "precondition"

    def __init__(self, gallery_id: str, text: str) -> None:
        super().__init__(text)
        self.gallery_id = gallery_id


class ModelNotLoaded(MigrationError):
    """The server does not have the embedding model that is needed.

    Attributes:
        model: what was asked for, or the name of the model.
        loaded: the names of the models that are loaded.
    """

    reason = "MODEL_NOT_LOADED"

    def __init__(self, gallery_id: str, model: str, loaded: Sequence[str]) -> None:
        super().__init__(
            gallery_id,
            f"the server has not loaded an embedding model {model!r}, only {' and '.join(loaded)}: "
            "set models.embedding_next, and restart it",
        )
        self.model = model
        self.loaded = tuple(loaded)

    @property
    def metadata(self) -> Mapping[str, str]:
        """What was asked for, and what is loaded."""
        return {"model": self.model, "loaded": ", ".join(self.loaded)}


class MigrationUnderWay(MigrationError):
    """The gallery is being migrated already.

    Attributes:
        to_model: the name of the model that it migrates to.
    """

    reason = "MIGRATION_UNDER_WAY"

    def __init__(self, gallery_id: str, to_model: str, contract: str) -> None:
        super().__init__(gallery_id, f"gallery {gallery_id!r} is being migrated to {to_model} already")
        self.to_model = to_model
        self.contract = contract

    @property
    def metadata(self) -> Mapping[str, str]:
        """The model that it migrates to."""
        return {"to_model": self.to_model, "to_contract": self.contract}


class AlreadyMigrated(MigrationError):
    """The gallery has this embedding model."""

    reason = "ALREADY_MIGRATED"

    def __init__(self, gallery_id: str, model: str) -> None:
        super().__init__(gallery_id, f"gallery {gallery_id!r} has the model {model} already")


class NoMigration(MigrationError):
    """The gallery is not being migrated."""

    reason = "NO_MIGRATION"

    def __init__(self, gallery_id: str) -> None:
        super().__init__(gallery_id, f"gallery {gallery_id!r} is not being migrated")


class AlreadySwitched(MigrationError):
    """The new model searches already."""

    reason = "ALREADY_SWITCHED"

    def __init__(self, gallery_id: str, model: str) -> None:
        super().__init__(gallery_id, f"gallery {gallery_id!r} is switched to {model} already")


class NotSwitched(MigrationError):
    """The old model still searches."""

    reason = "NOT_SWITCHED"

    def __init__(self, gallery_id: str, model: str) -> None:
        super().__init__(gallery_id, f"gallery {gallery_id!r} is not switched: {model} still searches")


class MigrationEnding(MigrationError):
    """The embeddings of one of the models are being dropped."""

    reason = "MIGRATION_ENDING"

    def __init__(self, gallery_id: str, model: str) -> None:
        super().__init__(gallery_id, f"the embeddings of {model} in gallery {gallery_id!r} are being dropped")


class MigrationIncomplete(MigrationError):
    """Templates have no embedding of the model that is to search.

    Attributes:
        missing: how many.
    """

    reason = "MIGRATION_INCOMPLETE"

    def __init__(self, gallery_id: str, model: str, missing: int) -> None:
        lacking = "1 template has" if missing == 1 else f"{missing} templates have"
        super().__init__(
            gallery_id,
            f"{lacking} no embedding of {model} in gallery {gallery_id!r}: nobody is found by such a template",
        )
        self.model = model
        self.missing = missing

    @property
    def metadata(self) -> Mapping[str, str]:
        """The model, and how many templates miss an embedding."""
        return {"model": self.model, "missing": str(self.missing)}


class ThresholdNotChosen(MigrationError):
    """Nobody chose the threshold of the model that is to search."""

    reason = "THRESHOLD_NOT_CHOSEN"

    def __init__(self, gallery_id: str, model: str, threshold: float) -> None:
        super().__init__(
            gallery_id,
            f"nobody chose a threshold of gallery {gallery_id!r} for {model}: it would search with the server's "
            f"default, {threshold:.4f}, which may be wrong for this model",
        )

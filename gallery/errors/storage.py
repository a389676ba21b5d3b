"""Errors of the storage behind the galleries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from gallery.errors.base import GalleryError, Kind


class StorageError(GalleryError):
    """The storage behind the galleries failed. Its message may name paths, so remote callers get another one.

    Attributes:
        public_text: what remote callers read.
        change_was_made: the deletion or renaming was stored, and no answer shows the old data any more; only its traces
            in the files could not be erased yet.
    """

    kind: ClassVar[Kind] = "unavailable"
    reason = "STORAGE_UNAVAILABLE"
    public_text: ClassVar[str] = "the database cannot be used now"
    change_was_made: bool = False

    @property
    def public_message(self) -> str:
        """See :class:`GalleryError`."""
        if not self.change_was_made:
            return self.public_text
        return (
            f"{self.public_text}: the change was made and needs no repetition, but its traces are still in the "
            "database's files; the server erases them as soon as it can"
        )

    @property
    def metadata(self) -> Mapping[str, str]:
        """Whether the change was made all the same."""
        return {"change_was_made": "true"} if self.change_was_made else {}


class StorageFull(StorageError):
    """The disk is full."""

    kind, reason = "exhausted", "STORAGE_FULL"
    public_text = "there is no room for the database"


class NoRoomToMigrate(StorageFull):
    """The disk is too small for the embeddings of both models of a migration.

    Attributes:
        bytes_needed: so many must be free.
    """

    def __init__(self, model: str, bytes_needed: int) -> None:
        super().__init__(
            f"the disk of the database is too small for the embeddings of both models: those of {model} need "
            f"{bytes_needed} free bytes, half of them only while they are added"
        )
        self.bytes_needed = bytes_needed

    @property
    def public_message(self) -> str:
        """See :class:`gallery.errors.base.GalleryError`: it names no path."""
        return str(self)

    @property
    def metadata(self) -> Mapping[str, str]:
        """How many bytes must be free."""
        return {"bytes_needed": str(self.bytes_needed)}


class StorageUnavailable(StorageError):
    """The database cannot be read or written, is damaged, or is not a Facet database."""


class StorageAway(StorageUnavailable):
    """The database does not answer now; it is tried again by itself."""

    retry_seconds = 1.0


class ChangeUnderWay(StorageUnavailable):
    """Another request or server works on the change, or a server died while it did less than a minute ago."""

    public_text: ClassVar[str] = "the correction is being made, or a server died making it: repeat it in a minute"

    def __init__(self) -> None:
        super().__init__(self.public_text)


class DatabaseDamaged(StorageUnavailable):
    """The database is damaged, or the file is not a database at all.

    Attributes:
        problem: what is wrong, without the path.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(
            f"{path} is damaged: {problem}; facet gallery verify lists it, facet gallery restore puts a backup in its "
            "place"
        )
        self.problem = problem


class DatabaseReplaced(StorageUnavailable):
    """A file of the open database was deleted, replaced or cut off, or got a second name: nothing is stored in it."""

    public_text = "the files of the database were deleted or replaced; nothing is stored until the server is restarted"

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(
            f"{path} is no longer the database that was opened: {problem}; nothing is stored until that is undone or "
            "the server is restarted"
        )


class KeysUnusable(StorageUnavailable):
    """The keys of an encrypted database are missing, wrong, damaged, or those of another database."""

    public_text = "the keys of the database cannot be used now"


class StorageBusy(StorageError):
    """Another process has the database open."""


class WorkUnderWay(StorageBusy):
    """Another server does the same work on a gallery."""


class SchemaTooNew(StorageError):
    """The database was written by a newer version of Facet."""

    def __init__(self, path: str, found: int, supported: int) -> None:
        super().__init__(f"{path} has schema version {found}; this version knows up to {supported}: update Facet")
        self.path = path
        self.found = found
        self.supported = supported

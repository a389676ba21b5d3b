"""What every error of the gallery has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

Kind = Literal["invalid", "not_found", "exists", "precondition", "conflict", "exhausted", "unavailable"]


class GalleryError(Exception):
    """A gallery operation failed.

    Attributes:
        kind: the category of failure, independent of any protocol.
        reason: stable identifier of the failure.
        request_field: the field of the request at fault; empty if only the caller knows its name, ``None`` if the error
            is not about one field.
        gallery_id: the gallery concerned, or empty.
        subject_id: the subject concerned, or empty.
        template_id: the template concerned, or empty.
        retry_seconds: when the same call may succeed, seconds from now; ``None`` if waiting does not help, or it is not
            known.
    """

    kind: ClassVar[Kind]
    reason: ClassVar[str]
    request_field: str | None = None
    gallery_id: str = ""
    subject_id: str = ""
    template_id: str = ""
    retry_seconds: float | None = None

    @property
    def public_message(self) -> str:
        """The message for a remote caller, without paths of this machine."""
        return str(self)

    @property
    def metadata(self) -> Mapping[str, str]:
        """Further facts for programs, by name."""
        return {}

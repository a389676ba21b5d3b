"""Where a search for duplicates is, as text that a client keeps: with it the search goes on, at any server."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import astuple, dataclass
from typing import Any

from gallery import names
from gallery.duplicates.similarity_model import SimilarityModel
from gallery.errors import InvalidResumeToken
from gallery.records.galleries import Gallery

_VERSION = 1
_MODEL_VALUES = 8
_MAX_LENGTH = 4096


@dataclass(frozen=True, slots=True)
class ResumeToken:
    """The state of a search: all that it needs to go on with the same results.

    Attributes:
        gallery: the gallery's id, and when it was created.
        after: the subject and the template that were searched for last; empty for none.
        done: how many templates were searched for.
        model: the model of the gallery.
    """

    gallery: tuple[str, str]
    after: tuple[str, str]
    done: int
    model: SimilarityModel

    def encoded(self) -> str:
        """Return the token as text."""
        values = [_VERSION, *self.gallery, *self.after, self.done, *astuple(self.model)]
        return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


def identity_of(gallery: Gallery) -> tuple[str, str]:
    """Return what distinguishes a gallery from a later one with the same id."""
    return gallery.gallery_id, gallery.create_time.isoformat()


def decoded(token: str, gallery: Gallery) -> ResumeToken:
    """Return a token of a gallery.

    Raises:
        InvalidResumeToken: it is not one, or one of another gallery.
    """
    try:
        found = _parsed(token)
    except (binascii.Error, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise InvalidResumeToken from error
    if found.gallery != identity_of(gallery):
        raise InvalidResumeToken
    return found


def _parsed(token: str) -> ResumeToken:
    values: Any = json.loads(base64.b64decode(token[: _MAX_LENGTH + 4], altchars=b"-_", validate=True))
    version, gallery_id, created, subject_id, template_id, done, *numbers = values
    texts = (gallery_id, created, subject_id, template_id)
    if (
        len(token) > _MAX_LENGTH
        or version != _VERSION
        or not all(isinstance(each, str) and names.is_storable(each) for each in texts)
        or not (isinstance(done, int) and 0 <= done < 2**53)
        or len(numbers) != _MODEL_VALUES
    ):
        raise ValueError("this is no token")
    model = SimilarityModel(*map(float, numbers))
    return ResumeToken((gallery_id, created), (subject_id, template_id), done, model)

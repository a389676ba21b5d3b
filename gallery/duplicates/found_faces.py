"""The faces of findings, as they are stored."""

from __future__ import annotations

from gallery.errors import SubjectNotFound
from gallery.records.templates import StoredFace
from gallery.stores.base import Store

_FACES_AT_ONCE = 16


def stored_face(store: Store, gallery_id: str, subject_id: str, template_id: str) -> StoredFace | None:
    """Return a template with its subject and its crop; ``None`` if it is gone.

    Raises:
        GalleryNotFound: the gallery does not exist.
        StorageError: the store cannot be read.
    """
    # The ids of few other templates come between the beginning of an id and the whole of it.
    wanted, after = (subject_id, template_id), (subject_id, template_id[:-1])
    try:
        while faces := store.faces(gallery_id, after=after, limit=_FACES_AT_ONCE):
            for face in faces:
                if face.key == wanted:
                    return face
            after = faces[-1].key
            if after > wanted:
                break
    except SubjectNotFound:
        pass
    return None

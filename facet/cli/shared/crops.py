"""The faces that a server keeps of its templates, for a page that shows pairs."""

from __future__ import annotations

from contextlib import closing, suppress
from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp

from facet import Client, NotFound
from facet.terminal.counts import counted
from facet.terminal.pictures.pairs_page import Side, png
from facet.v1 import gallery_service_pb2 as pb


class Crops:
    """Reads the stored faces of templates; needs the right to export people.

    Args:
        client: the connection.
        galleries: where to look for people, the first that has somebody decides.
    """

    def __init__(self, client: Client, *galleries: str) -> None:
        self._client = client
        self._galleries = galleries
        # A person may have many templates with large faces, and often several pairs one after the other.
        self._stored = lru_cache(maxsize=8)(self._read)

    def template(self, subject: str, template: str) -> pb.StoredTemplate | None:
        """Return a template; ``None`` if it was deleted in the meantime."""
        return self._stored(subject)[1].get(template)

    def created(self, subject: str) -> Timestamp | None:
        """Return when a subject was created; ``None`` if it was deleted in the meantime."""
        found = self._stored(subject)[0]
        return None if found is None else found.create_time

    def count(self, subject: str) -> int:
        """Return how many templates a subject has."""
        return len(self._stored(subject)[1])

    def side(self, subject: str, template: str) -> Side:
        """Return a template as one side of a pair.

        A server without ``enrollment.keep_crops`` keeps no faces; the digest of the picture tells then which it was.
        """
        found = self.template(subject, template)
        if found is None:
            return Side(subject, [f"template {template}", "deleted in the meantime"])
        about = found.template
        lines = [
            f"1 of {counted(self.count(subject), 'picture')}",
            f"template {about.template_id}",
            f"enrolled {about.create_time.ToDatetime():%Y-%m-%d %H:%M} UTC",
        ]
        if not found.crop:
            lines.append(f"SHA-256 of the picture: {about.picture_sha256}")
        return Side(subject, lines, png(found.crop))

    def _read(self, subject: str) -> tuple[pb.Subject | None, dict[str, pb.StoredTemplate]]:
        for gallery in self._galleries:
            with suppress(NotFound), closing(self._client.export_subject(gallery, subject)) as parts:
                first, *others = parts
                return first.subject, {part.template.template.template_id: part.template for part in others}
        return None, {}

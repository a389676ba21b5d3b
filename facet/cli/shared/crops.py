"""The faces that a server keeps of its templates, for a page that shows pairs."""

from __future__ import annotations

from contextlib import closing, suppress
from functools import lru_cache

from facet import Client, NotFound
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

    def side(self, subject: str, template: str) -> Side:
        """Return a template as one side of a pair.

        A server without ``enrollment.keep_crops`` keeps no faces; the digest of the picture tells then which it was.

        Args:
            subject: the subject's id.
            template: the template's id; empty for any template of the subject.
        """
        stored = self._stored(subject)
        found = stored.get(template) or (next(iter(stored.values()), None) if not template else None)
        if found is None:
            return Side(subject, [f"template {template}", "deleted in the meantime"])
        about = found.template
        lines = [f"template {about.template_id}", f"enrolled {about.create_time.ToDatetime():%Y-%m-%d %H:%M}"]
        if not found.crop:
            lines.append(f"SHA-256 of the picture: {about.picture_sha256}")
        return Side(subject, lines, png(found.crop))

    def _read(self, subject: str) -> dict[str, pb.StoredTemplate]:
        for gallery in self._galleries:
            with suppress(NotFound), closing(self._client.export_subject(gallery, subject)) as parts:
                templates = [part.template for part in parts if part.HasField("template")]
                return {each.template.template_id: each for each in templates}
        return {}

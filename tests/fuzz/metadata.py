"""What comes beside the pictures and messages: metadata of calls, of model files, and manifests.

An input's first byte chooses the kind; the rest is text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from tests.fuzz.serving import LocalServer

INSTRUMENTED = ("facet.server", "detector.metadata", "gallery.transfer", "gallery.records", "gallery.names")
TOKEN = "correct-horse-battery-staple"
_METHOD = "/facet.v1.ServerService/GetServerInfo"
_SEPARATOR = "\n"


def prepare() -> Callable[[bytes], None]:
    """See :class:`tests.fuzz.target.Target`."""
    from detector.metadata import read_metadata
    from facet.runtime.models import UnsupportedModel
    from gallery.errors import InvalidImport
    from gallery.transfer import manifest

    server = LocalServer(TOKEN)

    def of_call(text: str) -> None:
        values = [line.encode("ascii", "ignore").decode().strip() for line in text.split(_SEPARATOR)]
        pairs = zip(("authorization", "traceparent", "tracestate", "user-agent", "x-caller"), values, strict=False)
        given = [(key, "".join(filter(str.isprintable, value))) for key, value in pairs if value]
        answered = bool(server.call(_METHOD, [b""], given))
        assert answered == (dict(given).get("authorization") == f"Bearer {TOKEN}"), given

    def of_model(text: str) -> None:
        properties = dict(
            zip(("names", "kpt_shape", "stride", "args", "end2end"), text.split(_SEPARATOR), strict=False)
        )
        try:
            read_metadata(properties)
        except UnsupportedModel:
            return

    def of_gallery(text: str) -> None:
        try:
            read = manifest.from_json(text.encode())
        except InvalidImport:
            return
        assert manifest.from_json(manifest.to_json(read)) == read

    kinds = (of_call, of_model, of_gallery)

    def fuzz(data: bytes) -> None:
        if data:
            kinds[data[0] % len(kinds)](data[1:].decode(errors="ignore"))

    return fuzz


def seeds() -> Iterable[bytes]:
    """See :class:`tests.fuzz.target.Target`."""
    from tests.fuzz import imports

    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    yield b"\0" + _SEPARATOR.join([f"Bearer {TOKEN}", trace, "a=b", "agent", "x"]).encode()
    yield b"\0" + f"Bearer {TOKEN[:-1]}".encode()
    yield b"\1" + _SEPARATOR.join(["{0: 'person', 1: 'face'}", "[5, 3]", "32", "{'nms': True}", "False"]).encode()
    yield from (b"\2" + seed[1:] for seed in imports.seeds() if seed.startswith(b"M"))
    yield b"\2" + json.dumps({"format": "facet-gallery", "version": 2}).encode()


def repaired(data: bytes) -> bytes:
    """Nothing to repair: text has no checksums."""
    return data

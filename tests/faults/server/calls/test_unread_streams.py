"""Clients that open many streams, send large messages as fast as the server takes them, and read no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from facet import Client
from facet.benchmarks.hostile.attackers.attacker import Target
from facet.benchmarks.hostile.attackers.streams import UnreadBatches, UnreadLossless, UnreadStreams
from facet.benchmarks.watched_server import GALLERY

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve

SECONDS = 3.0
MAX_GROWTH = 300 * 2**20
"""Bytes. Twenty messages of 12 MB, received and parsed, would take 500 MB."""


@pytest.mark.parametrize("kind", [UnreadBatches, UnreadLossless])
def test_the_server_holds_few_messages_whatever_the_number_of_streams(
    serve: Serve, pictures: Pictures, kind: type[UnreadStreams]
) -> None:
    serving = serve("--models.objects", "none")
    host, _, port = serving.address.rpartition(":")
    target = Target(host, int(port), 0, "", GALLERY, pictures.yaoming)
    with Client(serving.address) as client:
        client.create_gallery(GALLERY)
        client.enroll(GALLERY, "yao", pictures.yaoming)
        idle = serving.resident_bytes()
        attacker = kind()
        attacker.prepare(target)
        sent = attacker.run(target, SECONDS)
        assert sent["calls"] >= 20
        assert serving.resident_bytes() - idle < MAX_GROWTH
        assert client.identify(GALLERY, pictures.yaoming).faces

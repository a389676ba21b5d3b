"""A load of good and bad requests and streams leaves nothing behind: ``bench.py soak``, small."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from facet.benchmarks.soak.requests import OK, UNEXPECTED_CODES, Load, Outcomes, send
from facet.benchmarks.soak.soak import MAX_DESCRIPTOR_GROWTH, MAX_THREAD_GROWTH
from facet.benchmarks.watched_server import Sample, WatchedServer, watched_server
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Pictures

ROUNDS = 4
REQUESTS, STREAMS = 24, 12
"""Of a round."""
MAX_GROWTH_MB = 100.0
"""The first rounds fill pools and caches. A leak of pictures would add 100 KB for each."""


def test_threads_and_descriptors_stay_flat_under_a_load_of_every_kind(tmp_path: Path, pictures: Pictures) -> None:
    sent = (pictures.yaoming, pictures.gdp, pictures.gdp[:5000], b"no picture")
    outcomes: Outcomes = Counter()
    readings: list[Sample] = []
    with watched_server(tmp_path, pictures.yaoming) as server:
        for seed in range(ROUNDS):
            outcomes += send(Load(server.address, server.token, sent, REQUESTS, STREAMS, seed))
            readings.append(settled(server, readings[0] if readings else None))
        assert server.internal_errors() == 0
        assert server.stray_lines() == []
    first, last = readings[0], readings[-1]
    assert last.rss_mb - first.rss_mb < MAX_GROWTH_MB
    assert outcomes.total() == ROUNDS * (REQUESTS + STREAMS)
    assert outcomes[OK] > 0
    assert not [name for name in outcomes if name.split()[0] in UNEXPECTED_CODES]


def settled(server: WatchedServer, before: Sample | None) -> Sample:
    """Read the process once what the clients left has been closed; fails if that never happens."""
    reads: list[Sample] = []

    def is_settled() -> bool:
        reads.append(server.sample())
        return before is None or grew_little(before, reads[-1])

    until(is_settled, "threads or descriptors were left behind")
    return reads[-1]


def grew_little(first: Sample, last: Sample) -> bool:
    return (
        last.threads - first.threads <= MAX_THREAD_GROWTH
        and last.descriptors - first.descriptors <= MAX_DESCRIPTOR_GROWTH
    )

"""What encryption at rest costs: the start of a server with a large gallery, and its searches."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

import numpy as np

from facet import Client
from facet.benchmarks.galleries.synthetic_gallery import GALLERY, fill
from facet.benchmarks.trust.pairs import Pairs, take_turns
from facet.server.config import GalleryConfig
from facet.server.stores import open_store
from facet.terminal import console
from facet.terminal.local_server import local_process
from facet.v1.types_pb2 import Embedding

_SEED = 7
_PROBES = 64

Settings = Mapping[str, str]
"""Values of the section ``gallery`` by name."""


@dataclass(frozen=True, slots=True)
class AtRest:
    """A server whose database is encrypted, compared with one whose database is not.

    Attributes:
        start_plain_s: seconds from the start of the plain server's process until it serves, median.
        start_encrypted_s: the same of the encrypted one.
        start_ratio: the second over the first.
        search_plain_ms: SearchEmbedding of the plain server, median.
        search_encrypted_ms: the same of the encrypted one.
        search_ratio: the second over the first: median of the ratios of all starts, because the same program searches
            a few percent faster or slower after each start.
        search_ratio_range: the least and the largest ratio of a start.
    """

    start_plain_s: float
    start_encrypted_s: float
    start_ratio: float
    search_plain_ms: float
    search_encrypted_ms: float
    search_ratio: float
    search_ratio_range: tuple[float, float]


def measure(
    plain: Settings, encrypted: Settings, contract: str, dimension: int, *, templates: int, starts: int, rounds: int
) -> AtRest:
    """Fill both databases with the same templates, then start both servers in turns and search them in turns.

    Args:
        plain: settings of a database that does not exist yet.
        encrypted: settings of another one, with a master key.
        contract: embedding contract of the server's models.
        dimension: of its embeddings.
        templates: number of templates, one per subject.
        starts: how often each server is started.
        rounds: how often each is searched after a start.
    """
    vectors = _unit(np.random.default_rng(_SEED).standard_normal((templates, dimension), np.float32))
    for settings in (plain, encrypted):
        with closing(open_store(GalleryConfig.model_validate(dict(settings)))) as store:
            fill(store, vectors, contract)
    probes = [Embedding(values=row.tolist(), contract=contract) for row in vectors[:_PROBES]]
    del vectors
    seconds: dict[bool, list[float]] = {False: [], True: []}
    searches: list[Pairs] = []
    with console.progress("Starting", starts) as bar:
        for at in range(starts):
            order = ((False, plain), (True, encrypted)) if at % 2 == 0 else ((True, encrypted), (False, plain))
            with _started(order[0][1]) as first, _started(order[1][1]) as second:
                for (is_encrypted, _), started in zip(order, (first, second), strict=True):
                    seconds[is_encrypted].append(started.seconds)
                by_kind = {kind: started for (kind, _), started in zip(order, (first, second), strict=True)}
                searches.append(_searched(by_kind[False].address, by_kind[True].address, probes, rounds))
            bar.advance(bar.task_ids[0])
    start_plain, start_encrypted = (statistics.median(seconds[kind]) for kind in (False, True))
    ratios = [each.ratio for each in searches]
    return AtRest(
        start_plain_s=round(start_plain, 2),
        start_encrypted_s=round(start_encrypted, 2),
        start_ratio=round(start_encrypted / start_plain, 3),
        search_plain_ms=_median([each.plain_ms for each in searches]),
        search_encrypted_ms=_median([each.guarded_ms for each in searches]),
        search_ratio=round(statistics.median(ratios), 3),
        search_ratio_range=(min(ratios), max(ratios)),
    )


@dataclass(frozen=True, slots=True)
class _Started:
    address: str
    seconds: float


@contextmanager
def _started(settings: Settings) -> Iterator[_Started]:
    flags = [word for name, value in settings.items() for word in (f"--gallery.{name.replace('_', '-')}", value)]
    begun = time.perf_counter()
    with local_process("--models.objects", "none", *flags) as server:
        yield _Started(server.address, time.perf_counter() - begun)


def _searched(plain: str, encrypted: str, probes: Sequence[Embedding], rounds: int) -> Pairs:
    with Client(plain) as one, Client(encrypted) as other:
        return take_turns(_search(one, probes), _search(other, probes), rounds)


def _search(client: Client, probes: Sequence[Embedding]) -> Callable[[], object]:
    turn = itertools.cycle(probes)
    return lambda: client.search_embedding(GALLERY, next(turn))


def _median(times: Sequence[np.ndarray]) -> float:
    return round(float(np.median(np.concatenate(times))), 3)


def _unit(vectors: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit

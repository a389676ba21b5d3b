"""``facet bench soak``: thousands of requests and streams, and whether the server stays as it was."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from facet import FacetError
from facet.benchmarks.serving.pictures import Sample as PictureSample
from facet.benchmarks.serving.pictures import Samples, mixed, samples
from facet.benchmarks.soak.growth import Growth, growth
from facet.benchmarks.soak.requests import UNEXPECTED_CODES, Load, Outcomes, send
from facet.benchmarks.watched_server import Sample, WatchedServer, watched_server
from facet.runtime.models import ModelError
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.tables import listing

MAX_GROWTH_MB, MAX_THREAD_GROWTH, MAX_DESCRIPTOR_GROWTH = 50.0, 8.0, 8.0

_READINGS = 100
_MAX_PICTURE_BYTES = 150_000
_WARM_UP = 5
"""The first fifth of the load is not counted: pools fill, and models see each size of picture for the first time."""


@dataclass(frozen=True, slots=True)
class Soak:
    """Result of a soak.

    Attributes:
        requests: number of requests.
        streams: number of streams that were opened.
        outcomes: number of requests and streams by outcome.
        unexpected: number of those that no request of the load deserves.
        internal_errors: calls answered with INTERNAL, or unexpected errors in the server's log.
        stray_log_lines: lines on the server's standard error that are not its log.
        rss_mb: resident memory after the warm-up, MiB.
        threads: number of threads.
        descriptors: number of open descriptors.
    """

    requests: int
    streams: int
    outcomes: Mapping[str, int]
    unexpected: int
    internal_errors: int
    stray_log_lines: int
    rss_mb: Growth
    threads: Growth
    descriptors: Growth

    def missed(self) -> list[str]:
        """What is not flat or not expected, in words."""
        bars = (
            (self.rss_mb.total > MAX_GROWTH_MB, "memory"),
            (self.threads.total > MAX_THREAD_GROWTH, "threads"),
            (self.descriptors.total > MAX_DESCRIPTOR_GROWTH, "descriptors"),
            (self.unexpected > 0, "unexpected answers"),
            (self.internal_errors > 0, "internal errors"),
            (self.stray_log_lines > 0, "lines that are not the log"),
        )
        return [said for is_missed, said in bars if is_missed]

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return asdict(self) | {
            "rss_growth_mb": self.rss_mb.total,
            "thread_growth": self.threads.total,
            "descriptor_growth": self.descriptors.total,
            "missed": self.missed(),
        }


def soak(
    requests: Annotated[int, typer.Option(min=50, help="Number of requests.")] = 20_000,
    streams: Annotated[int, typer.Option(min=0, help="Number of streams to open.")] = 10_000,
    as_json: AsJson = False,
) -> None:
    """Send thousands of requests and streams, and watch whether memory, threads and descriptors stay flat.

    Four clients send what clients send, and what they should not: pictures in many sizes, broken ones, wrong fields,
    wrong tokens, calls that are cancelled, streams that are abandoned. Requests and streams come in random order, the
    same in every run. After every hundredth part of the load, when nothing is under way, the server's process is read.
    The first fifth is a warm-up. Growth is the median of the last fifth of the readings minus that of the first.

    It must be at most 50 MiB, 8 threads and 8 descriptors; and no answer may be INTERNAL, UNKNOWN, UNAVAILABLE or
    RESOURCE_EXHAUSTED. The default load takes about a quarter of an hour on two cores.

    [b]Examples[/b]

      facet bench soak
      facet bench soak --requests 2000 --streams 1000 --json

    Exit code: 0 everything is flat, 1 it is not, 2 bad usage.
    """
    try:
        pictures = samples(None)
        with (
            tempfile.TemporaryDirectory(prefix="facet-bench-") as folder,
            watched_server(Path(folder), pictures.one.data) as server,
        ):
            measured = _measure(server, pictures, requests, streams)
    except (ModelError, FacetError, OSError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json(measured.document())
    else:
        _print(measured)
    if measured.missed():
        raise typer.Exit(console.FAILED)


def _measure(server: WatchedServer, pictures: Samples, requests: int, streams: int) -> Soak:
    sent = [pictures.one.data, *(each.data for each in mixed(pictures) if _is_small(each))]
    outcomes: Outcomes = Counter()
    steps: list[int] = []
    readings: list[Sample] = []
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process, console.progress("Soaking", requests + streams) as bar:
        for seed, (some_requests, some_streams) in enumerate(parts(requests, streams)):
            load = Load(server.address, server.token, sent, some_requests, some_streams, seed)
            outcomes += process.submit(send, load).result()
            steps.append(outcomes.total())
            readings.append(server.sample())
            bar.advance(bar.task_ids[0], some_requests + some_streams)
    return summary(requests, streams, outcomes, steps, readings, server.internal_errors(), len(server.stray_lines()))


def parts(requests: int, streams: int) -> Iterator[tuple[int, int]]:
    """Divide the load into equal parts, one for each reading."""
    for part in range(1, _READINGS + 1):
        yield (
            requests * part // _READINGS - requests * (part - 1) // _READINGS,
            streams * part // _READINGS - streams * (part - 1) // _READINGS,
        )


def summary(
    requests: int,
    streams: int,
    outcomes: Mapping[str, int],
    steps: Sequence[int],
    readings: Sequence[Sample],
    internal_errors: int,
    stray_log_lines: int,
) -> Soak:
    """Summarise a soak.

    Args:
        requests: number of requests.
        streams: number of streams.
        outcomes: number of both by outcome.
        steps: number of both before each reading.
        readings: of the server's process, from the beginning.
        internal_errors: of the server.
        stray_log_lines: of the server.
    """
    warm = len(readings) // _WARM_UP
    kept, at = readings[warm:], steps[warm:]
    return Soak(
        requests=requests,
        streams=streams,
        outcomes=dict(sorted(outcomes.items())),
        unexpected=sum(count for name, count in outcomes.items() if name.split()[0] in UNEXPECTED_CODES),
        internal_errors=internal_errors,
        stray_log_lines=stray_log_lines,
        rss_mb=growth(at, [each.rss_mb for each in kept]),
        threads=growth(at, [each.threads for each in kept]),
        descriptors=growth(at, [each.descriptors for each in kept]),
    )


def _is_small(picture: PictureSample) -> bool:
    """Whether a picture is cheap: a soak is about the number of requests, not about pixels."""
    return len(picture.data) <= _MAX_PICTURE_BYTES


def _print(measured: Soak) -> None:
    shown = listing(f"{measured.requests:,} requests and {measured.streams:,} streams", columns=3)
    for name, figure, most in (
        ("memory", measured.rss_mb, f"MiB; at most {MAX_GROWTH_MB:g} more"),
        ("threads", measured.threads, f"at most {MAX_THREAD_GROWTH:g} more"),
        ("descriptors", measured.descriptors, f"at most {MAX_DESCRIPTOR_GROWTH:g} more"),
    ):
        change = f"{figure.start:g} to {figure.end:g}"
        shown.add_row(name, change, f"{most}; {figure.per_1000:+.2f} per thousand")
    shown.add_row("internal errors", str(measured.internal_errors), "at most 0")
    for outcome, count in measured.outcomes.items():
        shown.add_row(outcome, f"{count:,}", "not expected" if outcome.split()[0] in UNEXPECTED_CODES else "")
    console.out.print(shown)
    missed = measured.missed()
    console.out.print(f"not flat: {', '.join(missed)}" if missed else "everything is flat")

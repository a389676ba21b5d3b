"""A server in a process of its own, with a token and one subject: what it costs, and what goes wrong in it."""

from __future__ import annotations

import json
import re
import resource
import secrets
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from facet import Client
from facet.benchmarks.process_memory import family, rss_mib, threads_and_descriptors
from facet.terminal.local_server import LocalServer, local_process

GALLERY, SUBJECT = "bench", "somebody"
_TOKEN_VARIABLE = "FACET_SERVER__TOKEN"  # noqa: S105 - the name of a variable, not a token
_UNEXPECTED = frozenset({"call failed", "item failed", "page failed"})
"""The events of the log's lines about errors that the server did not expect."""
_INTERNAL = re.compile(rb'^facet_(?:call_seconds_count|streams_total)\{[^}]*code="INTERNAL"[^}]*\} ([0-9.e+]+)$', re.M)
_SCRAPE_SECONDS = 10.0
_USUAL_DESCRIPTORS = 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """The server's process and its children at one moment.

    Attributes:
        time: as of ``time.monotonic``.
        rss_mb: resident memory, MiB.
        threads: number of threads.
        descriptors: number of open descriptors.
    """

    time: float
    rss_mb: float
    threads: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class WatchedServer:
    """A server that is ready.

    Attributes:
        process: it and its addresses.
        token: the bearer token that it needs.
        log: its standard error.
    """

    process: LocalServer
    token: str
    log: Path

    @property
    def address(self) -> str:
        """Host and port of its calls."""
        return self.process.address

    @property
    def is_alive(self) -> bool:
        """Whether its process still runs."""
        try:
            state = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
        except OSError:
            return not Path("/proc/self").is_dir()  # other systems do not say
        return state != "Z"

    def sample(self) -> Sample:
        """What the process and its children cost now."""
        processes = family(self.process.pid)
        counts = [threads_and_descriptors(pid) for pid in processes]
        return Sample(
            time=time.monotonic(),
            rss_mb=round(sum(map(rss_mib, processes)), 1),
            threads=sum(threads for threads, _ in counts),
            descriptors=sum(descriptors for _, descriptors in counts),
        )

    def internal_errors(self) -> int:
        """The number of calls that were answered with INTERNAL, or of unexpected errors in the log if more."""
        try:
            address = f"http://{self.process.metrics_address}/metrics"
            with urllib.request.urlopen(address, timeout=_SCRAPE_SECONDS) as answer:
                counted = sum(float(value) for value in _INTERNAL.findall(answer.read()))
        except OSError:  # nobody is served; the clients' figures show that
            counted = 0.0
        logged = sum(json.loads(line)["event"] in _UNEXPECTED for line in self._lines() if line.startswith("{"))
        return max(int(counted), logged)

    def stray_lines(self) -> list[str]:
        """The lines on standard error that are not JSON, so not of the server's log."""
        return [line for line in self._lines() if line and not line.startswith("{")]

    def _lines(self) -> list[str]:
        return self.log.read_text("utf-8", "replace").splitlines()


@contextmanager
def watched_server(folder: Path, picture: bytes, *flags: str) -> Iterator[WatchedServer]:
    """Start a server that needs a token, with a gallery of one subject.

    It starts with the limit of open descriptors that most systems give a program, whatever the limit here.

    Args:
        folder: for its log.
        picture: of the subject.
        flags: of ``facet serve``.
    """
    token, log = secrets.token_urlsafe(24), folder / "server.log"
    watchable = ("--log.format", "json", "--metrics.port", "0")
    with (
        log.open("w") as errors,
        _usual_descriptors(),
        local_process(*watchable, *flags, settings={_TOKEN_VARIABLE: token}, log=errors) as process,
    ):
        with Client(process.address, token=token) as client:
            client.create_gallery(GALLERY)
            client.enroll(GALLERY, SUBJECT, picture)
        yield WatchedServer(process, token, log)


@contextmanager
def _usual_descriptors() -> Iterator[None]:
    """While programs are started, at most :data:`_USUAL_DESCRIPTORS`; they may raise that themselves."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, _USUAL_DESCRIPTORS), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))

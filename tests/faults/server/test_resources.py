"""Servers that are out of memory, descriptors or threads."""

from __future__ import annotations

import errno
import io
import resource
import signal
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from facet import Client, FacetError, InternalError
from tests.faults.injection.faults import Faults
from tests.faults.injection.memory_group import memory_group
from tests.faults.promises import Seen, promises
from tests.faults.server.writers import GALLERY, enroll

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving

LIGHT = ("--models.objects", "none")
AREA = "memory and threads"


def outcome(call: Callable[[], object]) -> str:
    """Return the status and the reason of a call."""
    try:
        call()
    except InternalError:
        raise
    except FacetError as error:
        return f"{error.code.name} {error.reason}"
    return "OK"


def address_space(serving: Serving) -> int:
    """Return how much address space a server has, bytes."""
    status = Path(f"/proc/{serving.process.pid}/status").read_text("ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmSize:")).split()[1]) * 1024


def enlarged(picture: bytes) -> bytes:
    """Return a picture of 48 megapixels."""
    data = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as opened:
        opened.resize((8000, 6000)).save(data, "JPEG", quality=50)
    return data.getvalue()


@promises(
    AREA,
    "the address space is limited to 200 MB more than an idle server has (RLIMIT_AS), and large pictures come",
    "each picture is answered or refused with a definite status; the server lives, and answers small pictures",
)
def test_a_server_without_memory_refuses_and_lives(serve: Serve, pictures: Pictures, seen: Seen) -> None:
    large = enlarged(pictures.players)
    serving = serve(*LIGHT, "--server.workers", "2")
    with Client(serving.address, timeout=60) as client:
        client.create_gallery(GALLERY)
        enroll(client, "a", pictures.yaoming)
        unlimited = resource.prlimit(serving.process.pid, resource.RLIMIT_AS)
        limit = address_space(serving) + (200 << 20)
        resource.prlimit(serving.process.pid, resource.RLIMIT_AS, (limit, unlimited[1]))
        outcomes = Counter(outcome(lambda: client.identify(GALLERY, large)) for _ in range(4))
        outcomes += Counter(outcome(lambda: client.identify(GALLERY, pictures.yaoming)) for _ in range(2))
        assert serving.process.poll() is None
        resource.prlimit(serving.process.pid, resource.RLIMIT_AS, unlimited)
        assert client.identify(GALLERY, large).faces
        enroll(client, "b", pictures.yaoming)
    assert serving.stop() == 0
    seen(f"{', '.join(f'{count} x {what}' for what, count in outcomes.items())}; then all answered again")


@promises(
    AREA,
    "the descriptors are used up (RLIMIT_NOFILE)",
    "open connections are served, new ones wait or fail; when some are closed, new ones are served",
)
def test_a_server_without_descriptors_serves_open_connections(serve: Serve, pictures: Pictures, seen: Seen) -> None:
    serving = serve(*LIGHT)
    with Client(serving.address) as client:
        client.create_gallery(GALLERY)
        enroll(client, "a", pictures.yaoming)
        limits = resource.prlimit(serving.process.pid, resource.RLIMIT_NOFILE)
        in_use = len(list(Path(f"/proc/{serving.process.pid}/fd").iterdir()))
        resource.prlimit(serving.process.pid, resource.RLIMIT_NOFILE, (in_use + 4, limits[1]))
        host, _, port = serving.address.rpartition(":")
        sockets = [socket.create_connection((host, int(port)), 5) for _ in range(30)]
        answered = Counter(outcome(lambda: client.identify(GALLERY, pictures.yaoming)) for _ in range(5))
        answered += Counter([outcome(lambda: enroll(client, "b", pictures.yaoming))])
        assert answered == {"OK": 6}
        for each in sockets:
            each.close()
        with Client(serving.address) as other:
            assert other.identify(GALLERY, pictures.yaoming).faces
    assert serving.stop() == 0
    seen("an identification and an enrolment answered on an open connection; a new connection served afterwards")


@promises(
    AREA,
    "no thread can be started",
    "calls are answered or refused with a definite status; once threads can be started, all are answered",
)
def test_a_server_without_threads_refuses_and_recovers(
    serve: Serve, faults: Callable[[str], Faults], pictures: Pictures, seen: Seen
) -> None:
    threads = faults("no file")
    serving = serve(*LIGHT, environment=threads.environment)
    with Client(serving.address, timeout=20) as client:
        client.create_gallery(GALLERY)
        threads.fail_threads(errno.EAGAIN)
        outcomes = Counter(outcome(lambda: enroll(client, "a", pictures.yaoming)) for _ in range(3))
        outcomes += Counter(outcome(lambda: client.identify(GALLERY, pictures.yaoming)) for _ in range(3))
        outcomes += Counter(outcome(lambda: b"".join(client.export_gallery(GALLERY))) for _ in range(3))
        threads.fail_threads(0)
        enroll(client, "b", pictures.yaoming)
        assert client.identify(GALLERY, pictures.yaoming).faces
    assert serving.stop() == 0
    seen(f"{', '.join(f'{count} x {what}' for what, count in outcomes.items())}; then all answered")


@promises(
    AREA,
    "a control group allows 40 MB more than an idle server has, and large pictures come",
    "the kernel may kill the server; everything acknowledged is there after the next start",
)
def test_a_server_killed_for_its_memory_loses_nothing(serve: Serve, pictures: Pictures, seen: Seen) -> None:
    large = enlarged(pictures.players)
    with memory_group(40 << 20) as processes:
        serving = serve(*LIGHT)
        with Client(serving.address, timeout=60) as client:
            client.create_gallery(GALLERY)
            template = enroll(client, "a", pictures.yaoming)
            processes.write_text(str(serving.process.pid), "ascii")
            outcomes = Counter(outcome(lambda: client.identify(GALLERY, large)) for _ in range(2))
        was_killed = serving.stop() == -signal.SIGKILL
    with Client(serve(*LIGHT).address) as client:
        assert enroll(client, "a", pictures.yaoming) == template
    said = "the kernel killed it" if was_killed else ", ".join(f"{count} x {what}" for what, count in outcomes.items())
    seen(f"{said}; the person enrolled before was there after the next start")

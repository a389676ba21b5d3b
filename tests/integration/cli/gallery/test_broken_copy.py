"""facet gallery copy between two servers, when a connection is cut or the gallery changes in the middle."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import Client

if TYPE_CHECKING:
    from tests.conftest import Serve, Serving

FLAGS = ("--models.objects", "none")
SOME_BYTES = 1 << 16
MANY = 3000
"""Templates that take more than one message: the file of so many has six row groups."""

Copy = Callable[..., "subprocess.CompletedProcess[str]"]
Crowd = Callable[..., bytes]


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """Run facet gallery copy in an empty folder."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FACET_")}
        folder = tmp_path / "here"
        folder.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "facet.cli", "gallery", "copy", *arguments],
            capture_output=True,
            text=True,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )
        assert not list(folder.iterdir()), "the command leaves files"
        return done

    return run


@pytest.fixture
def other(serve: Serve) -> Serving:
    """A second server with an empty database."""
    return serve(*FLAGS)


@contextmanager
def relay(address: str, when_passed: Callable[[], bool]) -> Iterator[str]:
    """An address in front of a server. Calls ``when_passed`` once many bytes went either way; False ends it."""
    host, port = address.rsplit(":", 1)
    listener = socket.create_server(("127.0.0.1", 0))
    sockets: list[socket.socket] = []

    def close() -> None:
        for each in (listener, *sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def pass_on(source: socket.socket, sink: socket.socket) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(SOME_BYTES):
                before, passed = passed, passed + len(data)
                if before < 4 * SOME_BYTES <= passed and not when_passed():
                    close()
                sink.sendall(data)

    def accept() -> None:
        with suppress(OSError):
            while True:
                near = listener.accept()[0]
                far = socket.create_connection((host, int(port)))
                sockets.extend((near, far))
                threading.Thread(target=pass_on, args=(near, far), daemon=True).start()
                threading.Thread(target=pass_on, args=(far, near), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        close()


@pytest.mark.parametrize("end", ["--from", "--to"])
def test_a_copy_that_is_cut_off_leaves_nothing_and_is_repeated(
    copy: Copy, other: Serving, server: Serving, client: Client, crowd: Crowd, gallery: str, end: str
) -> None:
    many = client.import_gallery(iter([crowd(MANY)]), f"{gallery}-many").gallery_id
    addresses = {"--from": server.address, "--to": other.address}
    with relay(addresses[end], lambda: False) as cut:
        ends = [word for pair in (addresses | {end: cut}).items() for word in pair]
        broken = copy(many, gallery, *ends)
    assert (broken.returncode, broken.stdout) == (1, "")
    assert cut in broken.stderr, "it says which of the servers failed"
    with Client(other.address) as target:
        assert not list(target.iter_galleries())
    again = copy(many, gallery, "--from", server.address, "--to", other.address, "--json")
    assert again.returncode == 0, again.stderr
    assert [each["templates"] for each in json.loads(again.stdout)["galleries"]] == [MANY, 0]


def test_a_gallery_that_is_changed_meanwhile_is_told(
    copy: Copy, other: Serving, server: Serving, client: Client, crowd: Crowd, gallery: str
) -> None:
    many = client.import_gallery(iter([crowd(MANY)]), f"{gallery}-many").gallery_id

    def forget() -> bool:
        """Forget somebody who has been read."""
        with suppress(Exception):
            client.delete_subject(many, "s000000")
        return True

    with relay(other.address, forget) as watched:
        changed = copy(many, "--from", server.address, "--to", watched, "--json")
    assert changed.returncode == 1
    (told,) = json.loads(changed.stdout)["galleries"]
    assert (told["status"], told["changed"]) == ("outdated", ["subjects", "templates", "contents_sha256"])

"""facet gallery copy, when a server or the command ends, or the gallery changes, in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import Client
from tests.conftest import PATIENCE
from tests.copies import MANY, finished, relay, start_copy
from tests.integration.cli.gallery.copying.conftest import FLAGS, Copy

if TYPE_CHECKING:
    from tests.conftest import Serve, Serving

Crowd = Callable[..., bytes]
ENDS = ("--from", "--to")


@pytest.fixture
def many(client: Client, crowd: Crowd) -> str:
    """The id of a gallery that takes several messages."""
    return client.import_gallery(iter([crowd(MANY)]), f"g{uuid.uuid4().hex}").gallery_id


def galleries(serving: Serving) -> list[str]:
    with Client(serving.address) as client:
        return [each.gallery_id for each in client.iter_galleries()]


def words(options: dict[str, str]) -> list[str]:
    return [word for option in options.items() for word in option]


def statuses(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [each["status"] for each in json.loads(done.stdout)["galleries"]]


@pytest.mark.parametrize("end", ENDS)
def test_a_copy_that_is_cut_off_leaves_nothing_and_is_repeated(
    copy: Copy, other: Serving, server: Serving, many: str, gallery: str, end: str
) -> None:
    addresses = {"--from": server.address, "--to": other.address}
    with relay(addresses[end], lambda: False) as cut:
        broken = copy(many, "nobody", *words(addresses | {end: cut}))
    assert (broken.returncode, broken.stdout) == (1, "")
    one, two = broken.stderr.splitlines()
    assert one.startswith(f"{many}: not copied: no ")
    assert cut in one, "it says which of the servers failed"
    assert two == one.replace(many, "nobody"), "a server that is lost is not tried again"
    assert not {many, gallery} & set(galleries(other))
    again = copy(many, gallery, *words(addresses), "--json")
    assert again.returncode == 0, again.stderr
    assert statuses(again) == ["copied", "copied"]


def test_a_server_that_is_killed_in_the_middle_has_no_part_of_the_gallery_and_the_same_command_ends_the_copy(
    copy: Copy, serve: Serve, server: Serving, client: Client, many: str
) -> None:
    mortal = serve(*FLAGS)

    def kill() -> bool:
        mortal.process.kill()
        mortal.process.wait(PATIENCE)
        return False

    for end, ends in (("--to", {"--from": server.address}), ("--from", {"--to": server.address})):
        with relay(mortal.address, kill) as dying:
            broken = copy(many, *words(ends | {end: dying}))
        assert broken.returncode == 1
        assert dying in broken.stderr, "it blames the server that died"
        assert server.address not in broken.stderr
        mortal = serve(*FLAGS)
        assert many not in galleries(mortal if end == "--to" else server)
        assert statuses(copy(many, *words(ends | {end: mortal.address}), "--json")) == ["copied"]
        client.delete_gallery(many, force=True)


def test_ctrl_c_in_the_middle_says_so_and_leaves_nothing(
    copy: Copy, other: Serving, server: Serving, many: str, tmp_path: Path
) -> None:
    running: list[subprocess.Popen[str]] = []

    def interrupt() -> bool:
        running[0].send_signal(signal.SIGINT)
        running[0].wait(PATIENCE)
        return True

    with relay(other.address, interrupt) as watched:
        running.append(start_copy(tmp_path, many, "--from", server.address, "--to", watched))
        stopped = finished(running[0])
    assert stopped.returncode == 130
    assert stopped.stderr == "stopped: 0 galleries done; repeat the command to go on\n"
    assert many not in galleries(other)
    assert statuses(copy(many, "--from", server.address, "--to", other.address, "--json")) == ["copied"]


def test_of_all_galleries_those_that_fail_are_named_and_the_others_are_copied(
    copy: Copy, other: Serving, serve: Serve, crowd: Crowd
) -> None:
    source = serve(*FLAGS)
    ends = ("--from", source.address, "--to", other.address)
    nothing = copy("--all", *ends)
    assert (nothing.returncode, nothing.stdout) == (0, f"there are no galleries at {source.address}\n")
    with Client(source.address) as client, Client(other.address) as there:
        client.import_gallery(iter([crowd(MANY, seed=8)]), "b")
        for each in ("a", "c"):
            client.create_gallery(each)
        there.create_gallery("b", threshold=0.5)
        first = copy("--all", *ends, "--json")
        assert first.returncode == 1
        told = json.loads(first.stdout)["galleries"]
        assert [(each["gallery"], each["status"]) for each in told] == [
            ("a", "copied"),
            ("b", "failed"),
            ("c", "copied"),
        ]
        assert told[1]["error"].startswith(f"{other.address} has another gallery 'b' already: it differs in subjects, ")
        assert first.stderr == f"b: not copied: {told[1]['error']}\n"
        there.delete_gallery("b")
        assert statuses(copy("--all", *ends, "--json")) == ["unchanged", "copied", "unchanged"]


def test_a_gallery_that_is_changed_meanwhile_is_told(
    copy: Copy, other: Serving, server: Serving, client: Client, many: str
) -> None:
    def forget() -> bool:
        """Forget somebody who has been read."""
        with suppress(Exception):
            client.delete_subject(many, "s000000")
        return True

    ends = ("--from", server.address, "--to", other.address)
    with relay(other.address, forget) as watched:
        changed = copy(many, "--from", server.address, "--to", watched, "--json")
    assert changed.returncode == 1
    (told,) = json.loads(changed.stdout)["galleries"]
    assert (told["status"], told["changed"]) == ("outdated", ["subjects", "templates", "contents_sha256"])
    again = copy(many, *ends)
    assert again.returncode == 1
    assert "another gallery" in again.stderr
    assert "differs in subjects, templates, contents_sha256. Copy to another id with --as, or delete it" in again.stderr


def test_somebody_who_is_gone_from_both_meanwhile_makes_no_difference(
    copy: Copy, other: Serving, server: Serving, client: Client, many: str
) -> None:
    with Client(other.address) as there:
        passed: list[int] = []

        def forget() -> bool:
            """When the copy is read, forget somebody in both: so it is with people who expire."""
            if passed:
                with suppress(Exception):
                    client.delete_subject(many, "s002999")
                    there.delete_subject(many, "s002999")
            passed.append(1)
            return True

        with relay(other.address, forget) as watched:
            done = copy(many, "--from", server.address, "--to", watched, "--json")
    assert (done.returncode, len(passed)) == (0, 2), "once for the import, and once for the reading"
    (told,) = json.loads(done.stdout)["galleries"]
    assert (told["status"], told["templates"]) == ("copied", MANY - 1)

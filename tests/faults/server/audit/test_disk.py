"""Servers whose audit log cannot be written: nothing changes that the log would not tell of, and searches go on."""

from __future__ import annotations

import errno
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from facet import CENTRAL, Client, FacetError
from facet.client.errors import StatusCode
from facet.server.audit.chain.files import default_head, default_key, log_files
from facet.server.audit.chain.head import read_head
from facet.server.audit.chain.keys import load_key
from facet.server.audit.reading import Wanted, entries
from facet.server.audit.verification import Verification, verify
from tests.faults.injection.faults import Faults
from tests.faults.promises import Seen, promises
from tests.faults.server.writers import GALLERY, enroll
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve

LIGHT = ("--models.objects", "none")
AREA = "disk"


def verified(folder: Path) -> Verification:
    return verify(folder, {"the head": read_head(default_head(folder))}, load_key(default_key(folder)))


def refused(client: Client, pictures: Pictures) -> list[str]:
    """Try changes of every kind; those that were refused because they cannot be noted. All others fail the test."""
    changes: dict[str, Callable[[], object]] = {
        "enrol": lambda: enroll(client, "new", pictures.yaoming),
        "rename": lambda: client.update_subject(GALLERY, "a", display_name="other"),
        "forget": lambda: client.delete_subject(GALLERY, "a"),
        "create": lambda: client.create_gallery("new"),
        "export": lambda: list(client.export_gallery(GALLERY)),
    }
    with ThreadPoolExecutor(len(changes)) as together:  # gRPC repeats each for seconds, as the server asks
        failures = {name: together.submit(change).exception() for name, change in changes.items()}
    for name, failure in failures.items():
        assert isinstance(failure, FacetError), name
        assert (failure.code, failure.reason) == (StatusCode.UNAVAILABLE, "AUDIT_UNAVAILABLE"), name
    return list(failures)


def add(client: Client, person: str, pictures: Pictures) -> None:
    client.enroll(GALLERY, person, pictures.gdp, face=CENTRAL)


def people(client: Client) -> dict[str, list[tuple[str, str]]]:
    return {
        gallery.gallery_id: [(each.subject_id, each.display_name) for each in client.iter_subjects(gallery.gallery_id)]
        for gallery in client.iter_galleries()
    }


@promises(
    AREA,
    "full under the audit log",
    "changes are refused with AUDIT_UNAVAILABLE before anything is changed; identification goes on, and is noted once "
    "there is room; no restart; the log is sound",
)
def test_change_that_cannot_be_noted_is_refused(
    serve: Serve, tmp_path: Path, faults: Callable[[str], Faults], pictures: Pictures, seen: Seen
) -> None:
    disk, folder = faults("audit-0"), tmp_path / "log"
    serving = serve(*LIGHT, "--audit.folder", str(folder), "--audit.fsync", "always", environment=disk.environment)
    with Client(serving.address) as client:
        client.create_gallery(GALLERY)
        enroll(client, "a", pictures.yaoming)
        before = people(client)
        disk.fail_writes(errno.ENOSPC)
        names = refused(client, pictures)
        assert people(client) == before
        assert client.identify(GALLERY, pictures.yaoming).faces[0].identification.candidates
        disk.fail_writes(0)
        add(client, "b", pictures)
        assert [each for each, _ in people(client)[GALLERY]] == ["a", "b"]
    assert serving.stop() == 0
    found = verified(folder)
    assert (found.problems, found.open_intents) == ([], [])
    searched = list(entries(folder, Wanted(action="searched")))
    assert [entry.draft.facts["probes"] for entry in searched] == [1]
    seen(f"refused, and nothing changed: {', '.join(names)}; then {found.entries} entries, all sound")


def test_head_that_cannot_be_written_refuses_changes(
    serve: Serve, tmp_path: Path, faults: Callable[[str], Faults], pictures: Pictures
) -> None:
    """Without a head, nobody could tell whether entries were removed at the end."""
    disk, folder = faults("head.json"), tmp_path / "log"
    flags = (*LIGHT, "--audit.folder", str(folder), "--audit.fsync-seconds", "0.01")
    serving = serve(*flags, environment=disk.environment)
    with Client(serving.address) as client:
        client.create_gallery(GALLERY)
        enroll(client, "a", pictures.yaoming)

        def rename_is_refused() -> bool:
            try:
                client.update_subject(GALLERY, "a", display_name="other")
            except FacetError as error:
                return error.reason == "AUDIT_UNAVAILABLE"
            return False

        disk.fail_writes(errno.EIO)
        until(rename_is_refused)
        disk.fail_writes(0)
        client.update_subject(GALLERY, "a", display_name="yet another")
    assert serving.stop() == 0
    assert (verified(folder).problems, verified(folder).open_intents) == ([], [])


def test_log_that_is_moved_away_or_changed_refuses_changes(serve: Serve, tmp_path: Path, pictures: Pictures) -> None:
    """An open file can be written after it was moved, but nobody would find the entries."""
    folder, elsewhere = tmp_path / "log", tmp_path / "moved"
    flags = (*LIGHT, "--audit.folder", str(folder), "--audit.fsync", "always")
    serving = serve(*flags)
    with Client(serving.address) as client:
        client.create_gallery(GALLERY)
        enroll(client, "a", pictures.yaoming)
        folder.rename(elsewhere)
        refused(client, pictures)
        elsewhere.rename(folder)
        add(client, "b", pictures)
        (file,) = log_files(folder)
        file.path.write_bytes(b"".join(file.path.read_bytes().splitlines(keepends=True)[:-1]))
        refused(client, pictures)
    assert serving.stop() == 0
    with Client(serve(*flags).address) as client:
        client.update_subject(GALLERY, "a", display_name="other")
    assert any("the server found when it started" in str(problem) for problem in verified(folder).problems)

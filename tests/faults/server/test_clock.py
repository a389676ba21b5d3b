"""Servers whose wall clock jumps, or goes past the end of their certificate."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import Client
from gallery.stores.sqlite.verify import verify
from tests.certificates import make_certificate
from tests.faults.injection.faults import Faults
from tests.faults.promises import Seen, promises
from tests.faults.server.writers import GALLERY, enroll
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve

YEAR = 365 * 86400  # seconds; Linux takes no time later than the year 2232
PROMISED = "calls are answered in time; everything written is found and listed, also when the clock is right again"


@pytest.mark.parametrize(
    "years",
    [
        pytest.param(200, marks=promises("clock", "200 years forward while the server runs, and back", PROMISED)),
        pytest.param(-100, marks=promises("clock", "back before 1970 while the server runs, and forward", PROMISED)),
    ],
)
def test_a_clock_that_jumps_changes_no_answer(
    serve: Serve, tmp_path: Path, faults: Callable[[str], Faults], pictures: Pictures, years: int, seen: Seen
) -> None:
    clock = faults("no file")
    serving = serve("--models.objects", "none", environment=clock.environment)
    with Client(serving.address, timeout=20) as client:
        client.create_gallery(GALLERY)
        enroll(client, "before", pictures.yaoming)
        clock.move_clock(years * YEAR)
        enroll(client, "during", pictures.yaoming)
        client.update_subject(GALLERY, "before", display_name="renamed")
        client.create_gallery("made-during")
        client.enroll("made-during", "", pictures.yaoming)
        assert client.identify(GALLERY, pictures.yaoming).faces[0].identification.candidates
        clock.move_clock(0)
        enroll(client, "after", pictures.yaoming)
        assert {each.subject_id for each in client.iter_subjects(GALLERY)} == {"before", "during", "after"}
        again = enroll(client, "during", pictures.yaoming)
        assert [each.template_id for each in client.iter_templates(GALLERY, "during")] == [again]
        exported = b"".join(client.export_gallery(GALLERY))
        assert client.import_gallery(iter([exported]), "copy").template_count == 3
    assert serving.stop() == 0
    assert verify(tmp_path / "facet.sqlite3").problems == ()
    seen("enrolled, renamed, identified, exported and imported meanwhile; the database verifies")


@promises(
    "network",
    "the certificate expires while the server runs, and its files are replaced",
    "the log says when it expires; new connections get the new certificate, without a restart; open ones stay",
)
def test_a_certificate_that_expires_is_replaced_without_a_restart(
    serve: Serve, tmp_path: Path, faults: Callable[[str], Faults], seen: Seen
) -> None:
    clock, now, year = faults("no file"), datetime.now(UTC), timedelta(days=365)
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    old = make_certificate(tmp_path / "old", "server", start=now - year, end=now + timedelta(days=1))
    new = make_certificate(tmp_path / "new", "server", start=now - year, end=now + 3 * year)
    used = tuple(tmp_path / f"used.{suffix}" for suffix in ("pem", "key"))
    for source, file in zip(old, used, strict=True):
        shutil.copy(source, file)
    flags = ("--server.tls-certificate", str(used[0]), "--server.tls-key", str(used[1]))
    serving = serve("--models.objects", "none", *flags, environment=clock.environment)
    address = serving.address.replace("127.0.0.1", "localhost")
    with Client(address, root_certificates=old[0].read_bytes(), timeout=PATIENCE) as open_one:
        open_one.create_gallery(GALLERY)
        clock.move_clock(2 * YEAR)
        open_one.create_gallery("still-open")
        for source, file in zip(new, used, strict=True):
            shutil.copy(source, file)
        with Client(address, root_certificates=new[0].read_bytes(), timeout=PATIENCE) as new_one:
            assert {each.gallery_id for each in new_one.iter_galleries()} == {GALLERY, "still-open"}
        assert open_one.get_gallery(GALLERY)
    assert any("the certificate" in str(line["event"]) for line in serving.log_lines())
    assert serving.stop() == 0
    seen("served on the open connection after the expiry, and on a new one with the new certificate")

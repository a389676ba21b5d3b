"""What calls leave in the audit log, and what they do not."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from facet import Client, Enrollment, FacetError, stream_frame
from facet.server.access.callers import callers_file, key
from facet.server.access.callers.callers_file import CallerEntry
from facet.server.access.identity import Scope
from facet.server.audit.chain.entry import BEGUN, Entry
from facet.server.audit.chain.files import default_head, default_key, log_files
from facet.server.audit.chain.head import read_head
from facet.server.audit.chain.keys import load_key
from facet.server.audit.reading import Wanted, entries
from facet.server.audit.verification import verify
from facet.v1.recognition_service_pb2 import StreamSettings
from tests.unit.server.audit.logs import change_lines, written
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving

ROOT = Path(__file__).resolve().parents[3]
COUNTED = frozenset({"searched", "refused", "logged_in", "read_audit_log"})
NAME = "Yao Ming of Shanghai"


def admit(callers: Path, caller_id: str, scopes: Sequence[Scope], galleries: str = "*") -> str:
    """Add a caller to a callers file; returns its key."""
    secret = key.new_secret()
    with callers_file.changing(callers) as found:
        entry = CallerEntry(
            id=caller_id,
            kind="key",
            sha256=key.sha256(secret),
            scopes=list(scopes),
            galleries=[galleries],
            created=datetime.now(UTC),
        )
        found.append(entry)
    return key.key_of(caller_id, secret)


def audited(serve: Serve, folder: Path, callers: Path) -> Serving:
    return serve("--models.objects", "none", "--audit.folder", str(folder), "--access.callers", str(callers))


def told(folder: Path) -> list[Entry]:
    """The entries, without those that announce a change."""
    return [entry for entry in entries(folder, Wanted()) if entry.draft.outcome != BEGUN]


def facet(*words: str | Path, token: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "facet", *map(str, words)]
    more = ["--token", token] if token else []
    return subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def rows(found: Iterable[Entry]) -> Counter[tuple[str, str, str, str]]:
    """How often each was noted. What is counted has an entry a minute: however many there are, it is one row here."""
    noted = Counter((each.draft.action, each.draft.caller, each.draft.gallery, each.draft.outcome) for each in found)
    return Counter({row: 1 if row[0] in COUNTED else number for row, number in noted.items()})


def test_log_tells_who_did_what_and_holds_no_person(serve: Serve, tmp_path: Path, pictures: Pictures) -> None:
    folder, callers = tmp_path / "log", tmp_path / "callers.json"
    admin, camera = admit(callers, "boss", ["admin"]), admit(callers, "door", ["recognize"], "team")
    auditor = admit(callers, "auditor", ["audit"], "team")
    serving = audited(serve, folder, callers)
    with Client(serving.address, token=admin) as client:
        client.create_gallery("team")
        client.create_gallery("other")
        client.enroll("team", "yao", pictures.yaoming, display_name=NAME)
        batch = [("1", Enrollment("yao", pictures.yaoming)), ("2", Enrollment("zed", b"no picture"))]
        list(client.enroll_batch("team", batch))
        client.update_subject("team", "yao", display_name="other")
        exported = b"".join(client.export_gallery("team"))
        client.import_gallery(iter([exported]), "copy")
        client.delete_gallery("copy", force=True)
    with Client(serving.address, token=camera) as client:
        for _ in range(3):
            client.identify("team", pictures.yaoming)
        list(client.identify_batch("team", [(1, pictures.yaoming), (2, pictures.yaoming)]))
        frames = [stream_frame(number, pictures.yaoming) for number in (1, 2)]
        list(client.identify_stream(StreamSettings(gallery_id="team", lossless=True), frames))
        for denied in (
            lambda: client.identify("other", pictures.yaoming),
            lambda: client.delete_subject("team", "yao"),
        ):
            with pytest.raises(FacetError):
                denied()
    with Client(serving.address, token="facet_nobody_0") as client, pytest.raises(FacetError):
        client.list_galleries()
    admit(callers, "new", ["recognize"])
    with Client(serving.address, token=auditor) as client:
        until(lambda: any(each.draft.action == "callers_changed" for each in told(folder)))
        seen = list(client.iter_audit_entries())
        assert {each.gallery for each in seen} == {"team"}
        (enrolled,) = [
            each for each in client.iter_audit_entries(subject_id="yao", action="changed") if not each.intent
        ]
        assert enrolled.caller == "key:boss"
        with pytest.raises(FacetError) as caught:
            client.list_audit_entries(gallery_id="other")
        assert caught.value.reason == "GALLERY_NOT_PERMITTED"
        shown = facet("audit", "show", "--address", serving.address, "--action", "enrolled", "--json", token=auditor)
    assert shown.returncode == 0, shown.stderr
    assert serving.stop() == 0

    # The server also looks, some time later, whether what was deleted has left its files.
    found = [each for each in told(folder) if each.draft.action != "erasure_checked"]
    assert rows(found) == Counter(
        {
            ("started", "server", "", "OK"): 1,
            ("gallery_created", "key:boss", "team", "OK"): 1,
            ("gallery_created", "key:boss", "other", "OK"): 1,
            ("enrolled", "key:boss", "team", "OK"): 2,
            ("enrolled", "key:boss", "team", "INVALID_ARGUMENT"): 1,
            ("changed", "key:boss", "team", "OK"): 1,
            ("exported", "key:boss", "team", "OK"): 1,
            ("imported", "key:boss", "copy", "OK"): 1,
            ("gallery_forgotten", "key:boss", "copy", "OK"): 1,
            ("searched", "key:door", "team", "OK"): 1,
            ("refused", "key:door", "other", "PERMISSION_DENIED"): 1,
            ("refused", "key:door", "", "PERMISSION_DENIED"): 1,
            ("refused", "", "", "UNAUTHENTICATED"): 1,
            ("callers_changed", "server", "", "OK"): 1,
            ("logged_in", "key:boss", "", "OK"): 1,
            ("logged_in", "key:door", "", "OK"): 1,
            ("logged_in", "key:auditor", "", "OK"): 1,
            ("read_audit_log", "key:auditor", "", "OK"): 1,
            ("refused", "key:auditor", "", "PERMISSION_DENIED"): 1,
            ("stopped", "server", "", "OK"): 1,
        }
    )
    facts: dict[str, Any] = {each.draft.action: each.draft.facts for each in found}
    probes = [int(str(each.draft.facts["probes"])) for each in found if "probes" in each.draft.facts]
    assert sum(probes) == 3 + 2 + 2
    assert facts["callers_changed"] == {"added": ["key:new"]}
    assert (facts["exported"], facts["imported"]) == ({"templates": 1}, {"subjects": 1, "templates": 1})
    assert {each.draft.address for each in found if each.draft.caller != "server"} == {"127.0.0.1"}
    checked = verify(folder, {"the head": read_head(default_head(folder))}, load_key(default_key(folder)))
    assert (checked.problems, checked.open_intents) == ([], [])
    assert [json.loads(line) for line in shown.stdout.splitlines()] == [
        each.as_dict() for each in entries(folder, Wanted(action="enrolled"))
    ]
    log = b"".join(file.path.read_bytes() for file in log_files(folder))
    secrets = (
        admin,
        camera,
        auditor,
        "facet_nobody_0",
        NAME,
        '"yao"',
        '"zed"',
        base64.b64encode(pictures.yaoming[:30]).decode(),
    )
    assert [secret for secret in secrets if secret.encode() in log] == []


def test_server_without_audit_log_says_so(client: Client) -> None:
    with pytest.raises(FacetError) as caught:
        client.list_audit_entries()
    assert caught.value.reason == "NO_AUDIT_LOG"


def test_commands_show_and_verify_a_log(tmp_path: Path) -> None:
    """A person is found by the id, although the log has its hash; and verify exits with 1 once a line was edited."""
    folder = tmp_path / "audit"
    written(folder, 5)
    head = facet("audit", "head", folder)
    assert facet("audit", "verify", folder, "--head", head.stdout.strip()).returncode == 0
    assert "no entries" in facet("audit", "show", folder, "--caller", "key:other").stdout
    assert len(facet("audit", "show", folder, "--subject", "s3", "--json").stdout.splitlines()) == 1
    change_lines(folder, lambda lines: [lines[0], lines[1].replace(b"team", b"crew"), *lines[2:]])
    edited = facet("audit", "verify", folder, "--json")
    (problem,) = json.loads(edited.stdout)["problems"]
    assert (edited.returncode, problem["line"], problem["seq"]) == (1, 2, 2)
    assert "line 2, entry 2" in facet("audit", "verify", folder).stdout
    assert facet("audit", "verify", tmp_path / "nothing").returncode == 2
    assert facet("audit", "show", folder, "--since", "yesterday").returncode == 2

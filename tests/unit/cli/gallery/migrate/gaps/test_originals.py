"""A folder of original pictures: all files whatever they are called, but for those of systems."""

from __future__ import annotations

from pathlib import Path

from facet.cli.gallery.migrate.gaps.originals import find, missing
from facet.v1 import migrations_pb2 as pb


def test_files_of_any_name_are_found_and_those_of_systems_are_named(tmp_path: Path) -> None:
    for name in ("a.jpg", "2024/IMG 1", "2024/b.scan", "@eaDir/a.jpg", ".hidden/a.jpg", "2024/Thumbs.db"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "2024")
    found, left_out = find(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in found] == ["2024/IMG 1", "2024/b.scan", "a.jpg"]
    assert {(str(each.path.relative_to(tmp_path)), each.reason) for each in left_out} == {
        ("@eaDir", "HIDDEN"),
        (".hidden", "HIDDEN"),
        ("2024/Thumbs.db", "HIDDEN"),
        ("link", "LINKED_FOLDER"),
    }


def test_what_the_server_makes_by_itself_needs_no_original() -> None:
    reasons = [reason for reason in pb.MigrationGapReason.values() if reason]
    kept = {each.reason for each in missing(pb.MigrationGap(reason=reason) for reason in reasons)}
    assert kept == {*reasons} - {pb.MIGRATION_GAP_REASON_WAITING}

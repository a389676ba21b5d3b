"""The table of errors, held against the proto, which promises it to clients."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from facet.runtime.pictures import InvalidPicture
from facet.server.wire.errors import DOMAIN, Blamed, blaming, internal, to_status
from gallery import errors as gallery_errors

ROOT = Path(__file__).resolve().parents[4]
REASON = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b|\bUNAUTHENTICATED\b|\bINTERNAL\b")


def documented() -> set[str]:
    """The reasons that comments of the protos name, in parentheses behind their status."""
    found: set[str] = set()
    for path in (ROOT / "proto" / "facet" / "v1").glob("*_service.proto"):
        lines = (line.strip() for line in path.read_text("utf-8").splitlines())
        comments = " ".join(line.removeprefix("//").strip() for line in lines if line.startswith("//"))
        for inside in re.findall(r"\(([^()]*)\)", comments):
            if REASON.match(inside):
                found |= set(REASON.findall(inside))
    return found


def produced() -> set[str]:
    """The reasons that the service gives."""
    source = "".join(
        (ROOT / name).read_text("utf-8") for name in ("facet/server/wire/errors.py", "recognizer/fitness.py")
    )
    table = re.findall(r"_Failure\(\s*[\w.]+,\s*\"([A-Z_]+)\"", source)
    unfit = re.findall(r"Unfit\(\s*\"([A-Z_]+)\"", source)
    return {*table, *unfit}


def test_every_reason_that_is_given_is_documented_and_the_other_way_round() -> None:
    assert len(produced()) > 20
    assert produced() == documented()


def test_every_error_of_a_gallery_has_a_status() -> None:
    known = [
        gallery_errors.GalleryNotFound("g"),
        gallery_errors.GalleryExists("g"),
        gallery_errors.GalleryNotEmpty("g", 1),
        gallery_errors.SubjectNotFound("g", "s"),
        gallery_errors.SubjectWithoutTemplates("g", "s"),
        gallery_errors.TemplateNotFound("g", "s", "t"),
        gallery_errors.TooManyTemplates("g", "s", 1),
        gallery_errors.LooksLikeAnotherSubject("g", "s", 0.5, 0.4),
        gallery_errors.ContractMismatch("g", "a", "b"),
        gallery_errors.InvalidEmbedding("x"),
        gallery_errors.RequestIdReused("g", "r"),
        gallery_errors.InvalidPageToken(),
        gallery_errors.InvalidImport("x", line=7, field="quality"),
        gallery_errors.EtagMismatch("g", "s", expected="a", found="b"),
    ]
    for error in known:
        status = to_status(error)
        assert status is not None, error
        assert reason(status)


def reason(status: Status) -> str:
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.domain == DOMAIN
    return str(info.reason)


def test_the_field_to_blame_is_named() -> None:
    with pytest.raises(Blamed) as caught, blaming("probe_picture"):
        raise InvalidPicture("broken")
    status = to_status(caught.value)
    assert status is not None
    bad = BadRequest()
    assert status.details[1].Unpack(bad)
    assert bad.field_violations[0].field == "probe_picture"


def test_what_nobody_foresaw_says_nothing_but_where_to_look() -> None:
    assert to_status(ValueError("a secret")) is None
    status = internal("id-7")
    assert reason(status) == "INTERNAL"
    assert "id-7" in status.message


def test_no_path_of_the_server_reaches_a_client() -> None:
    for error in (
        gallery_errors.StorageFull("no room for /srv/facet.sqlite3"),
        gallery_errors.StorageUnavailable("/srv/facet.sqlite3"),
    ):
        status = to_status(error)
        assert status is not None
        assert "/srv" not in str(status)

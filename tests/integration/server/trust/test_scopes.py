"""Every method, tried by callers who lack its scope, or the right to a gallery that the request names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from tests.faults.server.calls.raw_calls import Ended, RawConnection, framed
from tests.integration.server.trust.beginnings import beginnings
from tests.integration.server.trust.rights import HOLDERS, SCOPES
from tests.integration.server.trust.rpcs import Path, Rpc, all_rpcs

if TYPE_CHECKING:
    from tests.integration.server.trust.conftest import Guarded

RPCS = [pytest.param(rpc, id=rpc.path) for rpc in all_rpcs() if rpc.path in SCOPES]
NAMING = [(rpc, path) for rpc in all_rpcs() if rpc.path in SCOPES for path in rpc.gallery_paths]
NOT_PERMITTED = (grpc.StatusCode.PERMISSION_DENIED, "GALLERY_NOT_PERMITTED")


def answered(guarded: Guarded, rpc: Rpc, *galleries: tuple[Path, str]) -> list[Ended]:
    """How calls end whose only message names a gallery that the caller may not use, and others that it may."""
    with RawConnection(guarded.address) as connection:
        ended = []
        for path, gallery_id in galleries:
            stream = connection.open(rpc.path, ("authorization", guarded.right(SCOPES[rpc.path])))
            connection.send(stream, framed(rpc.naming(path, gallery_id, guarded.mine)))
            ended.append(connection.ended(stream))
    return ended


@pytest.mark.parametrize("rpc", RPCS)
def test_a_caller_without_the_scope_is_refused_on_the_headers_of_a_call(guarded: Guarded, rpc: Rpc) -> None:
    lacking = HOLDERS[""] - HOLDERS[SCOPES[rpc.path]]
    with RawConnection(guarded.address) as connection:
        streams = {
            scope: connection.open(rpc.path, ("authorization", guarded.right(scope))) for scope in sorted(lacking)
        }
        ended = {scope: connection.ended(stream) for scope, stream in streams.items()}
    assert {scope: (each.code, each.reason) for scope, each in ended.items()} == dict.fromkeys(
        lacking, (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")
    )


@pytest.mark.parametrize(("rpc", "path"), NAMING, ids=str)
def test_a_gallery_of_others_is_refused_with_the_same_bytes_as_one_that_is_missing(
    guarded: Guarded, rpc: Rpc, path: Path
) -> None:
    theirs, missing = answered(guarded, rpc, (path, guarded.theirs), (path, "theirs-that-is-missing"))
    assert (theirs.code, theirs.reason) == NOT_PERMITTED
    assert theirs.headers == missing.headers


@pytest.mark.parametrize(("rpc", "path"), [each for each in NAMING if each[0].descriptor.client_streaming], ids=str)
def test_a_stream_that_began_with_a_permitted_gallery_may_not_go_on_with_another(
    guarded: Guarded, rpc: Rpc, path: Path
) -> None:
    with RawConnection(guarded.address) as connection:
        stream = connection.open(rpc.path, ("authorization", guarded.right(SCOPES[rpc.path])))
        connection.send(stream, framed(beginnings(guarded.mine)[rpc.path]))
        connection.send(stream, framed(rpc.naming(path, guarded.theirs, guarded.mine)))
        ended = connection.ended(stream)
    assert (ended.code, ended.reason) == NOT_PERMITTED

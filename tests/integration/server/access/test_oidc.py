"""A server that accepts tokens of an identity provider."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from facet import Client, FacetError
from facet.server.access.callers.callers_file import changing
from facet.server.access.oidc.tokens import LEEWAY_SECONDS
from tests.identity_provider import AUDIENCE, ISSUER, Provider, claims, jwk, serving, token
from tests.unit.server.access.entries import entry
from tests.waiting import PATIENCE, until

if TYPE_CHECKING:
    from tests.conftest import Refused, Serving, Start


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("oidc")


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with serving(jwk("ES256", "k1")) as provider:
        yield provider


@pytest.fixture(scope="module")
def guarded(start: Start, folder: Path, provider: Provider) -> Iterator[Serving]:
    flags = ("--access.oidc-issuer", ISSUER, "--access.oidc-audience", AUDIENCE, "--access.oidc-keys", provider.url)
    guarded = start(folder, *flags, "--models.objects", "none")
    with Client(guarded.address, token=token(claims(scope="facet:admin"))) as client:
        until(lambda: allowed(client.get_server_info), "the keys are read after the start")
        for gallery_id in ("lobby", "vault"):
            client.create_gallery(gallery_id)
    yield guarded
    guarded.stop()


def allowed(call: Callable[[], object]) -> bool:
    try:
        call()
    except FacetError:
        return False
    return True


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(FacetError) as refused:
        call()
    return refused.value.reason


def test_claims_give_scopes_and_galleries(guarded: Serving) -> None:
    with Client(guarded.address, token=token(claims(facet_galleries=["lobby", "x-*"]))) as client:
        assert [gallery.gallery_id for gallery in client.list_galleries().galleries] == ["lobby"]
        assert client.get_gallery("lobby")
        assert refusal(lambda: client.get_gallery("vault")) == "GALLERY_NOT_PERMITTED"
        assert refusal(lambda: client.create_gallery("x-1")) == "SCOPE_MISSING"
        assert client.get_server_info().caller.id.startswith("oidc:")


def test_the_log_names_callers_by_id_and_shows_neither_tokens_nor_subjects(guarded: Serving) -> None:
    bearer = token(claims(sub="rumpelstilzchen@example.org"))
    with Client(guarded.address, token=bearer) as client:
        caller = client.get_server_info().caller.id
    until(lambda: any(line.get("caller") == caller for line in guarded.log_lines()))
    said = guarded.log.read_text("utf-8").lower()
    assert "rumpelstilzchen" not in said
    assert not any(part.lower() in said for part in bearer.split("."))


@pytest.mark.parametrize(
    "given",
    [
        lambda: None,
        lambda: token(claims(exp=time.time() - 3600)),
        lambda: token(claims(aud="another")),
        lambda: token(claims(iss="https://login.example.org")),
        lambda: token(claims(scope="openid")),
        lambda: token(number=1),
        lambda: token()[:-8],
    ],
)
def test_who_has_no_right_token_is_told_the_same_as_everybody_else(
    guarded: Serving, given: Callable[[], str | None]
) -> None:
    with Client(guarded.address, token=given()) as client, pytest.raises(FacetError) as refused:
        client.list_galleries()
    assert (refused.value.reason, refused.value.code.name) == ("UNAUTHENTICATED", "UNAUTHENTICATED")
    assert str(refused.value).endswith("the call needs the metadata authorization: Bearer TOKEN")


def test_a_program_that_runs_for_longer_than_its_token_gives_a_function(guarded: Serving) -> None:
    given = [token(claims(exp=time.time() - 3600)), token()]
    with Client(guarded.address, token=lambda: given[0]) as client:
        assert refusal(client.get_server_info) == "UNAUTHENTICATED"
        del given[0]
        assert client.get_server_info()


def test_an_open_call_ends_when_its_token_expires(guarded: Serving) -> None:
    call, seconds = None, 2.0
    with grpc.insecure_channel(guarded.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while call is None:  # on a machine that is too slow, the token has expired before the call has begun
            bearer = f"Bearer {token(claims(exp=time.time() - LEEWAY_SECONDS + seconds))}"
            metadata = [("authorization", bearer)]
            opened: Any = stub.Watch(health_pb2.HealthCheckRequest(), metadata=metadata, timeout=PATIENCE)
            try:
                next(opened)
                call = opened
            except grpc.RpcError:
                assert opened.code() is grpc.StatusCode.UNAUTHENTICATED
                seconds *= 2
        with pytest.raises(grpc.RpcError):
            list(call)
        assert call.code() is grpc.StatusCode.UNAUTHENTICATED


def test_the_callers_file_limits_and_revokes_one_subject(guarded: Serving, folder: Path) -> None:
    path = folder / "facet.callers.json"
    of_provider: dict[str, Any] = {"kind": "oidc", "issuer": ISSUER, "subject": "ann", "sha256": None}
    with Client(guarded.address, token=token(claims(sub="ann", scope="facet:admin"))) as client:
        assert client.get_gallery("vault")
        with changing(path) as callers:
            callers.append(entry("ann", **of_provider, scopes=["recognize"], galleries=["lobby"]))
        until(lambda: not allowed(lambda: client.get_gallery("vault")))
        assert refusal(lambda: client.create_gallery("lobby")) == "SCOPE_MISSING"
        assert client.get_server_info().caller.id == "oidc:ann"
        with changing(path) as callers:
            callers[:] = [each.model_copy(update={"revoked": each.created}) for each in callers]
        until(lambda: not allowed(client.get_server_info))
        assert refusal(client.get_server_info) == "UNAUTHENTICATED"
    with Client(guarded.address, token=token()) as client:
        assert client.get_gallery("vault"), "others are let in by their claims"


def test_a_server_whose_file_of_keys_cannot_be_used_does_not_start(refused: Refused, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text('{"keys": []}', "utf-8")
    file.chmod(0o600)
    flags = ("--access.oidc-issuer", ISSUER, "--access.oidc-audience", AUDIENCE, "--access.oidc-keys", str(file))
    ended = refused(*flags, "--server.port", "0")
    assert ended.returncode == 1
    assert f"access.oidc_keys: cannot use {file}: it has no public key for signatures" in " ".join(ended.stderr.split())

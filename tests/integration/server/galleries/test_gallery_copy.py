"""facet gallery copy moves galleries between servers with different stores, and proves that the copies are equal."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from google.rpc.status_pb2 import Status
from typer.testing import CliRunner, Result

from facet import CENTRAL, Client, NotFound, Unavailable
from facet.benchmarks.galleries.postgres.postgres_server import PostgresServer
from facet.cli.app import app
from facet.cli.gallery.copying import command
from facet.client.errors import StatusCode

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving

TOKEN = "a-token-of-the-other-server"
FLAGS = ("--models.objects", "none")

Copy = Callable[..., Result]


@pytest.fixture
def servers(serve: Serve, postgres_server: PostgresServer) -> tuple[Serving, Serving]:
    """One with SQLite, which needs no key, and one with PostgreSQL, which does."""
    environment = {"FACET_GALLERY__POSTGRES_URL": postgres_server.url, "FACET_SERVER__TOKEN": TOKEN}
    schema = ("--gallery.postgres-schema", f"s{uuid.uuid4().hex}")
    return serve(*FLAGS), serve(*FLAGS, *schema, environment=environment)


@pytest.fixture
def copy(servers: tuple[Serving, Serving], monkeypatch: pytest.MonkeyPatch) -> Copy:
    """Run the command from the one server to the other, or back."""
    one, other = servers

    def run(*arguments: str, back: bool = False) -> Result:
        source, target = (other, one) if back else (one, other)
        monkeypatch.setenv("FACET_FROM_TOKEN" if back else "FACET_TO_TOKEN", TOKEN)
        monkeypatch.delenv("FACET_TO_TOKEN" if back else "FACET_FROM_TOKEN", raising=False)
        sides = ("--from", source.address, "--to", target.address)
        return CliRunner().invoke(app, ["gallery", "copy", *arguments, *sides])

    return run


def said(result: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(result.stdout)["galleries"]
    return found


def test_a_gallery_is_copied_to_another_store_and_back_and_a_broken_copy_is_repeated(
    servers: tuple[Serving, Serving], copy: Copy, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = servers
    with Client(one.address) as client, Client(other.address, token=TOKEN) as there:
        client.create_gallery("team", display_name="The team", threshold=0.31)
        client.enroll("team", "yao", pictures.yaoming, face=CENTRAL, display_name="Yao Ming")
        client.create_gallery("empty")

        wrong = CliRunner().invoke(
            app, ["gallery", "copy", "team", "--from", one.address, "--to", other.address, "--to-token", "wrong"]
        )
        assert wrong.exit_code == 1
        assert f"the server at {other.address} refused this key" in wrong.stderr
        assert "check FACET_TO_TOKEN or --to-token" in wrong.stderr

        with broken(monkeypatch):
            cut = copy("team")
        assert cut.exit_code == 1
        assert one.address in cut.stderr, "it says which of the servers failed"
        with pytest.raises(NotFound):
            there.get_gallery("team")

        first = copy("--all", "--json")
        assert first.exit_code == 0, first.output
        assert [(each["gallery"], each["status"], each["templates"]) for each in said(first)] == [
            ("empty", "copied", 0),
            ("team", "copied", 1),
        ]
        again = copy("--all", "--json")
        assert [each["status"] for each in said(again)] == ["unchanged", "unchanged"]
        (returned,) = said(copy("team", "--as", "returned", "--json", back=True))
        assert returned["contents_sha256"] == said(first)[1]["contents_sha256"]
        assert client.get_gallery("returned").threshold == pytest.approx(0.31)

        with enrolling_meanwhile(monkeypatch, client, pictures):
            outdated = copy("team", "--as", "late")
        assert outdated.exit_code == 1
        assert "1 template of 1 person copied, but the gallery has changed meanwhile (subjects, templates" in (
            " ".join(outdated.stderr.split())
        )
        other_one = copy("missing", "team", "empty", "--json")
        assert other_one.exit_code == 1
        assert [(each["gallery"], each["status"]) for each in said(other_one)] == [
            ("missing", "failed"),
            ("team", "failed"),
            ("empty", "unchanged"),
        ], "the others are copied all the same"
        assert "has another gallery 'team' already: it differs in subjects, templates" in (
            " ".join(other_one.stderr.split())
        )
        monkeypatch.setenv("FACET_TOKEN", TOKEN)
        monkeypatch.delenv("FACET_TO_TOKEN")
        keyless = CliRunner().invoke(app, ["gallery", "copy", "team", "--from", one.address, "--to", other.address])
        assert "needs a key: set FACET_TO_TOKEN or --to-token" in " ".join(keyless.stderr.split()), (
            "not the other's key"
        )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name the galleries, or add --all"),
        (("team", "--all"), "name the galleries, or add --all"),
        (("team", "more", "--as", "copy", "--to", "127.0.0.1:1"), "--as names the copy of one gallery"),
        (("team",), "--to is missing"),
        (("team", "--from", "127.0.0.1:1", "--to", "127.0.0.1:1"), "are the same server: add --as NAME"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(app, ["gallery", "copy", *arguments])
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


@contextmanager
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lose the connection to the server with the gallery after the first piece of an export."""
    whole = Client.export_gallery

    def cut(*arguments: Any, **options: Any) -> Iterator[bytes]:
        yield next(iter(whole(*arguments, **options)))
        raise Unavailable(StatusCode.UNAVAILABLE, Status(message="connection reset"))

    with monkeypatch.context() as patch:
        patch.setattr(Client, "export_gallery", cut)
        yield


@contextmanager
def enrolling_meanwhile(monkeypatch: pytest.MonkeyPatch, client: Client, pictures: Pictures) -> Iterator[None]:
    """Enrol somebody as soon as a gallery was sent."""
    send = command._send

    def sending(*arguments: Any) -> Any:
        sent = send(*arguments)
        client.enroll("team", "gdp", pictures.gdp, face=CENTRAL)
        return sent

    with monkeypatch.context() as patch:
        patch.setattr(command, "_send", sending)
        yield

"""``facet certs``: what it makes, what it refuses, and what it shows."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store
from typer.testing import CliRunner, Result

from facet.cli.certs.app import app
from tests.certificates import EDI_PARTY, Authority

DONE, FAILED, USAGE = 0, 1, 2


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: object, code: int = DONE) -> Result:
    result = CliRunner().invoke(app, [str(each) for each in arguments], prog_name="facet certs")
    assert result.exit_code == code, result.output
    return result


def made(*arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*arguments, "--json").stdout)
    return found


def shown(*arguments: object, code: int = DONE) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("show", *arguments, "--json", code=code).stdout)
    return found


def certificate(file: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(Path(file).read_bytes())


def test_a_server_gets_a_certificate_of_a_new_authority_in_private_files() -> None:
    said = made("server")
    assert said["files"] == ["certs/ca.pem", "certs/ca.key", "certs/server.pem", "certs/server.key"]
    for file in said["files"]:
        assert stat.S_IMODE(Path(file).stat().st_mode) == 0o600
    assert stat.S_IMODE(Path("certs").stat().st_mode) == 0o700
    builder = PolicyBuilder().store(Store([certificate("certs/ca.pem")]))
    builder.build_server_verifier(x509.DNSName("localhost")).verify(certificate("certs/server.pem"), [])
    assert shown("certs/server.pem", "--ca", "certs/ca.pem")["certificates"][0]["names"] == [
        "localhost",
        "127.0.0.1",
        "::1",
    ]


def test_the_same_authority_signs_further_certificates() -> None:
    made("server", "--host", "Facet.Example", "--host", "*.site", "--host", "2001:db8::1")
    said = made("client", "spiffe://site/camera-1", "--days", 1)
    assert said["files"] == ["certs/camera-1.pem", "certs/camera-1.key"]
    assert datetime.fromisoformat(said["expires"]) < datetime.now(UTC) + timedelta(days=1, minutes=1)
    assert shown("certs/server.pem", "--ca", "certs/ca.pem")["certificates"][0]["names"] == [
        "facet.example",
        "*.site",
        "2001:db8::1",
    ]
    client = shown("certs/camera-1.pem", "--ca", "certs/ca.pem")
    assert client["certificates"][0]["names"] == ["spiffe://site/camera-1"]
    assert client["certificates"][0]["purposes"] == ["client"]
    assert client["key"] == {"file": "certs/camera-1.key", "matches": True}


def test_a_certificate_does_not_outlive_its_authority() -> None:
    said = made("server", "--days", 397)
    assert datetime.fromisoformat(said["expires"]) == certificate("certs/ca.pem").not_valid_after_utc


def test_files_that_exist_are_not_overwritten() -> None:
    made("server")
    before = {file: file.read_bytes() for file in Path("certs").iterdir()}
    assert "certs/server.pem exists and is not overwritten" in run("server", code=FAILED).output
    Path("certs/left.key").symlink_to("nowhere")
    assert "certs/left.key exists" in run("client", "left", code=FAILED).output
    assert {file: file.read_bytes() for file in before} == before
    assert not Path("certs/left.pem").exists()


def test_the_first_certificate_of_a_bundle_is_the_authority_that_signs(tmp_path: Path) -> None:
    made("server")
    ca, other = Path("certs/ca.pem"), Authority(tmp_path, "other")
    alone = ca.read_bytes()
    ca.write_bytes(alone + other.pem)
    made("client", "camera-1")
    assert shown("certs/camera-1.pem", "--ca", ca)["signed_by_ca"] is True
    assert shown("certs/camera-1.pem", "--ca", other.file, code=FAILED)["signed_by_ca"] is False
    assert len(shown(ca)["certificates"]) == 2
    ca.write_bytes(other.pem + alone)
    assert "certs/ca.pem has the key of another CA" in run("client", "camera-2", code=FAILED).output


def test_an_authority_that_cannot_sign_says_why(tmp_path: Path) -> None:
    made("server")
    key, ca = Path("certs/ca.key"), Path("certs/ca.pem")
    saved = key.read_bytes()
    key.unlink()
    assert "the CA of certs cannot sign: certs/ca.key is missing" in run("client", "a", code=FAILED).output
    key.write_bytes(Path("certs/server.key").read_bytes())
    assert "certs/ca.pem has the key of another CA" in run("client", "a", code=FAILED).output
    key.write_bytes(b"no key")
    assert "certs/ca.pem is no CA with its key" in run("client", "a", code=FAILED).output
    key.write_bytes(saved)
    ca.write_bytes(Authority(tmp_path, "other").pem)
    assert "move the folder away" in run("client", "a", code=FAILED).output


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("server", "--host", "localhost:50051"), "neither a host name nor an IP address"),
        (("server", "--host", "https://facet.example"), "neither a host name nor an IP address"),
        (("client", "Front Door"), "neither a name"),
        (("client", "*.site"), "neither a name"),
        (("client", ""), "neither a name"),
        (("client", "a", "--name", "../a"), "no name of a certificate's files"),
        (("client", "ca"), "no name of a certificate's files"),
        (("server", "--days", "0"), "greater than or equal to 1"),
    ],
)
def test_names_that_no_certificate_can_have_are_refused(arguments: tuple[str, ...], why: str) -> None:
    assert why in " ".join(run(*arguments, code=USAGE).output.replace("│", " ").split())
    assert not Path("certs").exists()


def test_a_certificate_whose_extensions_cannot_be_read_is_shown_without_names(tmp_path: Path) -> None:
    certificate, _ = Authority(tmp_path).sign("odd", extra=EDI_PARTY)
    found = shown(certificate)["certificates"][0]
    assert (found["names"], found["purposes"], found["state"]) == ([], [], "valid")


def test_showing_fails_if_a_certificate_cannot_be_used(tmp_path: Path) -> None:
    ca, other = Authority(tmp_path, "ca"), Authority(tmp_path, "other")
    good, key = ca.sign("good", "DNS:good")
    old, _ = ca.sign("old", end=datetime.now(UTC) - timedelta(hours=1))
    assert shown(old, code=FAILED)["certificates"][0]["state"] == "expired"
    assert shown(good, "--key", old.with_suffix(".key"), code=FAILED)["key"]["matches"] is False
    assert shown(good, "--key", good, code=FAILED)["key"]["matches"] is False
    assert shown(good, "--ca", other.file, code=FAILED)["signed_by_ca"] is False
    assert shown(good, "--ca", ca.file)["signed_by_ca"] is True
    assert "holds no certificate in PEM" in run("show", key, code=USAGE).output
    text = run("show", good, "--ca", ca.file).output
    assert all(word in text for word in ("CN=good", "good.key matches", "ca.pem has signed it"))
    assert "PRIVATE" not in text

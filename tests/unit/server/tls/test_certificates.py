"""What is wrong with a certificate, when it expires, and its replacement."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from facet.server.tls.certificates import Certificates, Expiry
from facet.server.tls.pair import CertificateError, check, read
from tests.certificates import EDI_PARTY, Authority, make_certificate
from tests.waiting import PATIENCE, turns, until

NOW = datetime.now(UTC)
YEAR = timedelta(days=365)
BAD_KEY = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("pair"), "server", start=NOW - YEAR, end=NOW + YEAR)


def test_a_certificate_says_for_whom_and_until_when_it_is_valid(pair: tuple[Path, Path]) -> None:
    certificate = read(*pair)
    assert certificate.names == ("localhost", "127.0.0.1")
    assert certificate.not_before == pytest.approx((NOW - YEAR).timestamp(), abs=1)
    assert certificate.not_after == pytest.approx((NOW + YEAR).timestamp(), abs=1)
    assert (certificate.pem, certificate.key) == tuple(path.read_bytes() for path in pair)
    check(certificate, pair[0], NOW.timestamp())


def test_a_certificate_is_read_before_and_after_its_time_and_refused_with_the_date(pair: tuple[Path, Path]) -> None:
    certificate = read(*pair)
    with pytest.raises(CertificateError, match=rf"server\.pem expired on {NOW + YEAR:%Y-%m-%d %H:%M} UTC"):
        check(certificate, pair[0], certificate.not_after)
    with pytest.raises(CertificateError, match=rf"not valid before {NOW - YEAR:%Y-%m-%d %H:%M} UTC.*1970-01-01"):
        check(certificate, pair[0], 0.0)


def test_a_certificate_without_names_is_warned_of(tmp_path: Path) -> None:
    files = make_certificate(tmp_path, "nameless", start=NOW - YEAR, end=NOW + YEAR, names="")
    with structlog.testing.capture_logs() as logs:
        check(read(*files), files[0], NOW.timestamp())
    assert [(line["log_level"], "subjectAltName" in line["event"]) for line in logs] == [("warning", True)]


@pytest.mark.parametrize(
    ("certificate", "key", "why"),
    [
        ("text", "key", "text holds no certificate in PEM"),
        ("empty", "key", "empty holds no certificate in PEM"),
        ("der", "key", "der holds no certificate in PEM"),
        ("key", "certificate", "key holds no certificate in PEM"),
        ("certificate", "text", "text holds no private key in PEM"),
        ("certificate", "bad", "bad holds no private key in PEM"),
        ("certificate", "certificate", "certificate holds no private key in PEM"),
        ("certificate", "other", "other is the key of another certificate than .*certificate"),
        ("certificate", "encrypted", "encrypted is encrypted: decrypt it"),
    ],
)
def test_files_that_are_no_pair_are_refused_with_the_reason(
    pair: tuple[Path, Path], tmp_path: Path, certificate: str, key: str, why: str
) -> None:
    shutil.copy(pair[0], tmp_path / "certificate")
    shutil.copy(pair[1], tmp_path / "key")
    _, other = make_certificate(tmp_path, "another", start=NOW - YEAR, end=NOW + YEAR)
    other.rename(tmp_path / "other")
    (tmp_path / "text").write_text("no certificate", "ascii")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "bad").write_text(BAD_KEY, "ascii")
    (tmp_path / "der").write_bytes(ssl.PEM_cert_to_DER_cert(pair[0].read_text("ascii")))
    encrypt = ["openssl", "pkcs8", "-topk8", "-in", pair[1], "-passout", "pass:secret", "-out", tmp_path / "encrypted"]
    subprocess.run([str(word) for word in encrypt], check=True, capture_output=True)
    with pytest.raises(CertificateError, match=why):
        read(tmp_path / certificate, tmp_path / key)


@pytest.mark.parametrize("kind", ["rsa-pss", "ed448"])
def test_a_key_that_openssl_knows_and_grpc_does_not_is_refused(tmp_path: Path, kind: str) -> None:
    files = tmp_path / "odd.pem", tmp_path / "odd.key"
    make = ["openssl", "req", "-x509", "-newkey", kind, "-nodes", "-subj", "/CN=odd", "-out", *files[:1], "-keyout"]
    subprocess.run([*map(str, make), str(files[1])], check=True, capture_output=True)
    with pytest.raises(CertificateError, match=r"odd\.pem has a key of a kind that gRPC lacks: use RSA or EC"):
        read(*files)


def test_files_that_cannot_be_read_are_errors_of_the_system(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(pair[0], tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        read(tmp_path, pair[1])


def test_a_certificate_with_an_extension_that_python_cannot_read_is_used(tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    certificates = Certificates(
        *ca.sign("server", extra=EDI_PARTY), Authority(tmp_path, "clients", extra=EDI_PARTY).file
    )
    assert certificates.expires > NOW.timestamp()
    certificates.credentials()


def test_expiry_is_logged_in_time(pair: tuple[Path, Path]) -> None:
    now = NOW.timestamp()
    certificates = Certificates(*pair, clock=lambda: now)
    said = []
    for days in (0, 350, 352, 366):
        now = (NOW + timedelta(days=days)).timestamp()
        with structlog.testing.capture_logs() as logs:
            certificates.remind()
        said.append([line["log_level"] for line in logs])
    assert said == [[], [], ["warning"], ["error"]]


def test_a_short_lived_certificate_is_warned_of_in_its_last_quarter(tmp_path: Path) -> None:
    certificate = read(*make_certificate(tmp_path, "short", start=NOW, end=NOW + timedelta(days=4)))
    assert certificate.warn_from == pytest.approx((NOW + timedelta(days=3)).timestamp(), abs=2)


def replace(files: Sequence[Path], by: Sequence[Path]) -> None:
    for old, new in zip(files, by, strict=True):
        shutil.copy(new, old.with_suffix(".new"))
        os.replace(old.with_suffix(".new"), old)  # noqa: PTH105 - as a program that renews certificates


def test_a_changed_certificate_is_taken_and_an_unusable_one_is_not(pair: tuple[Path, Path], tmp_path: Path) -> None:
    files = (tmp_path / "server.pem", tmp_path / "server.key")
    replace(files, pair)
    certificates = Certificates(*files)
    end = NOW + 2 * YEAR
    renewed = make_certificate(tmp_path, "renewed", start=NOW - YEAR, end=end)
    with structlog.testing.capture_logs() as logs:
        replace(files[:1], renewed[:1])  # and not yet its key
        assert certificates.expires == read(*pair).not_after
        assert certificates.expires == read(*pair).not_after
    assert [line["event"] for line in logs] == ["the changed certificate is not used"]
    replace(files, renewed)
    assert measured(certificates) == {
        "facet_tls_certificate_expires_timestamp_seconds": pytest.approx(end.timestamp(), abs=1),
        "facet_tls_files_refused_total": 1,
    }
    files[1].unlink()
    assert certificates.expires == pytest.approx(end.timestamp(), abs=1)
    assert not measured(None)


def test_a_certificate_that_is_not_valid_yet_is_taken_when_it_is(pair: tuple[Path, Path], tmp_path: Path) -> None:
    now, hour, files = NOW, timedelta(hours=1), (tmp_path / "server.pem", tmp_path / "server.key")
    replace(files, pair)
    certificates = Certificates(*files, clock=lambda: now.timestamp())
    early = make_certificate(tmp_path, "early", start=NOW + hour, end=NOW + 3 * hour)
    replace(files, early)
    for _ in range(2):
        assert certificates.expires == read(*pair).not_after
        assert certificates.refused == {"certificate": 1}
    now = NOW + 2 * hour
    assert certificates.expires == read(*early).not_after


async def test_open_calls_are_reviewed_whatever_goes_wrong_with_the_files(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    broken, reviews = threading.Event(), 0

    def clock() -> float:
        if broken.is_set():
            raise RuntimeError("no clock")
        return NOW.timestamp()

    def review() -> None:
        nonlocal reviews
        reviews += 1

    certificates = Certificates(*pair, Authority(tmp_path).file, clock)
    certificates.start(review)
    await turns()
    broken.set()
    before = reviews
    await asyncio.to_thread(until, lambda: reviews >= before + 2)  # the second comes after a look that failed
    await certificates.stop()


def measured(certificates: Certificates | None) -> dict[str, float]:
    return {sample.name: sample.value for family in Expiry(certificates).collect() for sample in family.samples}


async def test_clients_see_the_new_certificate_without_a_restart(pair: tuple[Path, Path], tmp_path: Path) -> None:
    files = (tmp_path / "server.pem", tmp_path / "server.key")
    replace(files, pair)
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    port = server.add_secure_port("127.0.0.1:0", Certificates(*files).credentials())
    await server.start()

    async def answers(root: bytes) -> None:
        credentials = grpc.ssl_channel_credentials(root)
        async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)

    old = pair[0].read_bytes()
    await answers(old)
    renewed = make_certificate(tmp_path, "renewed", start=NOW - YEAR, end=NOW + YEAR)
    await asyncio.to_thread(replace, files, renewed)
    await answers(renewed[0].read_bytes())
    with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
        await answers(old)
    await server.stop(None)

"""Which files are authorities of client certificates, and which certificates they vouch for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from cryptography import x509

from facet.server.tls.authorities import Authorities, read_authorities
from facet.server.tls.pair import CertificateError
from tests.certificates import EDI_PARTY, Authority

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


def chain(*files: Path) -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(file.read_bytes()) for file in files]


def authorities(*files: Path) -> Authorities:
    return Authorities(tuple(chain(*files)))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "holds no certificates in PEM"),
        (b"no certificate", "holds no certificates in PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds no certificates in PEM"),
        ("ca.pem, then a broken one", "holds no certificates in PEM"),
        ("key", "holds no certificates in PEM"),
        ("expired", r"expired on .* no client can connect"),
    ],
)
def test_a_file_without_a_usable_authority_is_refused_with_the_reason(
    tmp_path: Path, content: bytes | str, why: str
) -> None:
    ca = Authority(tmp_path)
    if content == "key":
        content = ca.sign("a")[1].read_bytes()
    elif content == "expired":
        content = Authority(tmp_path, "old", end=NOW - timedelta(hours=1)).pem
    elif isinstance(content, str):
        content = ca.pem + ca.pem.replace(b"MII", b"!!!")
    file = tmp_path / "bundle.pem"
    file.write_bytes(content)
    with pytest.raises(CertificateError, match=rf"server\.tls_client_ca: .*bundle\.pem {why}"):
        read_authorities(file, NOW.timestamp())


def test_an_authority_that_is_not_valid_yet_is_refused_with_its_date(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match=r"is not valid before .*this machine's clock says 1970-01-01"):
        read_authorities(Authority(tmp_path).file, 0.0)


def test_a_bundle_is_read_without_its_comments_and_repetitions(tmp_path: Path) -> None:
    old = Authority(tmp_path, "old", end=NOW - timedelta(hours=1))
    new = Authority(tmp_path, "new", end=NOW + 2 * DAY)
    file = tmp_path / "bundle.pem"
    file.write_bytes(b"the new one\n" + new.pem + b"\nand again\n" + new.pem + old.pem)
    found = read_authorities(file, NOW.timestamp())
    assert found.pem == new.pem + old.pem
    assert found.not_after == (NOW - timedelta(hours=1)).timestamp()


def test_a_certificate_that_is_no_authority_is_warned_of(tmp_path: Path) -> None:
    certificate, _ = Authority(tmp_path).sign("camera", "DNS:camera")
    with structlog.testing.capture_logs() as logs:
        pinned = read_authorities(certificate, NOW.timestamp())
    assert [line["log_level"] for line in logs] == ["warning"]
    assert pinned.vouch_until(chain(certificate)) is not None


def test_an_authority_with_an_extension_that_cannot_be_read_is_used(tmp_path: Path) -> None:
    ca = Authority(tmp_path, extra=EDI_PARTY)
    with structlog.testing.capture_logs() as logs:
        found = read_authorities(ca.file, NOW.timestamp())
    assert not logs
    assert found.vouch_until(chain(ca.sign("camera")[0])) is not None


def test_an_authority_vouches_for_what_it_signed_until_the_first_of_the_chain_expires(tmp_path: Path) -> None:
    root = Authority(tmp_path, "root", end=NOW + 9 * DAY)
    middle = Authority(tmp_path, "middle", root, end=NOW + 5 * DAY)
    direct, _ = root.sign("direct", end=NOW + 3 * DAY)
    below, _ = middle.sign("below", end=NOW + 7 * DAY)
    given = authorities(root.file)
    assert given.vouch_until(chain(direct)) == (NOW + 3 * DAY).timestamp()
    assert given.vouch_until(chain(below, middle.file)) == (NOW + 5 * DAY).timestamp()
    assert given.vouch_until(chain(below, direct, middle.file)) == (NOW + 5 * DAY).timestamp()
    assert authorities(middle.file).vouch_until(chain(below)) == (NOW + 5 * DAY).timestamp()


def test_an_authority_vouches_for_nothing_that_another_one_of_its_name_signed(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    ours, other = Authority(tmp_path, "ca"), Authority(tmp_path / "other", "ca")
    certificate, _ = other.sign("camera")
    assert authorities(ours.file).vouch_until(chain(certificate)) is None
    assert authorities(ours.file).vouch_until(chain(certificate, other.file)) is None
    assert authorities(other.file, ours.file).vouch_until(chain(certificate)) is not None

"""Who gets a connection to a server that asks for client certificates, and what happens when its files change."""

from __future__ import annotations

import shlex
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import Client, ServingStatus, Unauthenticated, Unavailable, stream_frame
from facet.v1 import recognition_service_pb2 as pb
from tests.certificates import CLIENT, SERVER, Authority
from tests.waiting import PATIENCE, until

if TYPE_CHECKING:
    from tests.conftest import Pictures, Refused, Serve, Serving, Start

Files = tuple[Path, Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
GALLERY = "team"
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Site:
    """A server, and the authorities of it and its clients."""

    serving: Serving
    ca: Authority
    stranger: Authority

    @property
    def port(self) -> int:
        return int(self.serving.address.rpartition(":")[2])

    def client(self, files: Files | None) -> Client:
        return connected(self.serving, self.ca, files)


def connected(serving: Serving, ca: Authority, files: Files | None) -> Client:
    chain, key = (None, None) if files is None else (each.read_bytes() for each in files)
    address = serving.address.replace("127.0.0.1", "localhost")
    return Client(address, root_certificates=ca.pem, certificate_chain=chain, private_key=key, timeout=PATIENCE)


def flags(certificate: Path, key: Path, client_ca: Path) -> tuple[str, ...]:
    tls = ("--server.tls-certificate", str(certificate), "--server.tls-key", str(key))
    return ("--models.objects", "none", *tls, "--server.tls-client-ca", str(client_ca))


@pytest.fixture(scope="module")
def site(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    ca, stranger = Authority(folder), Authority(folder, "stranger")
    serving = start(folder, *flags(*ca.sign("server", "DNS:localhost", usage=SERVER), ca.file))
    yield Site(serving, ca, stranger)
    serving.stop()


def test_a_client_with_a_certificate_of_the_authority_is_served(site: Site) -> None:
    for usage in (CLIENT, None):
        with site.client(site.ca.sign("good", "DNS:camera", usage=usage)) as client:
            assert client.check_health() is ServingStatus.SERVING
            assert client.get_server_info().version


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda _: None, id="none"),
        pytest.param(lambda site: site.stranger.sign("other", "DNS:camera"), id="of another authority"),
        pytest.param(lambda site: site.ca.sign("old", end=datetime.now(UTC) - DAY / 2), id="expired"),
        pytest.param(lambda site: site.ca.sign("early", start=datetime.now(UTC) + DAY / 2), id="not valid yet"),
        pytest.param(lambda site: site.ca.sign("server-only", usage=SERVER), id="for servers only"),
    ],
)
def test_other_clients_cannot_connect_not_even_for_a_health_check(
    site: Site, make: Callable[[Site], Files | None]
) -> None:
    with site.client(make(site)) as client:
        for call in (client.get_server_info, client.check_health):
            with pytest.raises(Unavailable):
                call()


def status(site: Site, run_script: Run, *arguments: object, **variables: object) -> tuple[int, str]:
    """Exit code and output of the command ``facet status``."""
    address = site.serving.address.replace("127.0.0.1", "localhost")
    result = run_script("status.py", "--json", "--address", address, *arguments, **variables)
    return result.returncode, result.stdout + result.stderr


def test_commands_take_the_certificates_from_options_or_the_environment(site: Site, run_script: Run) -> None:
    certificate, key = site.ca.sign("command", "DNS:command")
    given = ("--ca", site.ca.file, "--certificate", certificate, "--key", key)
    assert status(site, run_script, *given)[0] == 0
    named = {"FACET_CA": site.ca.file, "FACET_CERTIFICATE": certificate, "FACET_KEY": key}
    assert status(site, run_script, **named)[0] == 0
    for arguments, said in (
        ((), "the server closes the connection: if it uses TLS, the client needs its CA"),
        (given[:2], "if it asks for a client certificate, the client has none"),
        (("--ca", site.stranger.file, *given[2:]), "no connection to the server at localhost"),
    ):
        code, output = status(site, run_script, *arguments)
        assert code == 1
        assert said in output


def test_a_client_without_tls_cannot_connect(site: Site) -> None:
    with Client(site.serving.address, timeout=PATIENCE) as client, pytest.raises(Unavailable):
        client.get_server_info()


def shaken(site: Site, version: ssl.TLSVersion, ciphers: str) -> tuple[str, str]:
    """The version and the cipher suite of a handshake.

    Raises:
        OSError: the server refused it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(site.ca.file)
    context.load_cert_chain(*site.ca.sign("tls", usage=CLIENT))
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    context.set_alpn_protocols(["h2"])
    context.minimum_version, context.maximum_version = version, version
    with (
        socket.create_connection(("localhost", site.port), timeout=PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as encrypted,
    ):
        cipher = encrypted.cipher()
        assert cipher is not None
        return str(encrypted.version()), cipher[0]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize(
    ("version", "ciphers"),
    [
        (ssl.TLSVersion.TLSv1, "ALL"),
        (ssl.TLSVersion.TLSv1_1, "ALL"),
        pytest.param(ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA256", id="CBC"),
        pytest.param(ssl.TLSVersion.TLSv1_2, "AES128-GCM-SHA256", id="no forward secrecy"),
        pytest.param(ssl.TLSVersion.TLSv1_2, "aNULL", id="no authentication"),
    ],
)
def test_old_versions_and_weak_ciphers_are_refused(site: Site, version: ssl.TLSVersion, ciphers: str) -> None:
    with pytest.raises(OSError, match=r"SSL|reset|EOF"):
        shaken(site, version, ciphers)


def test_tls_is_1_2_or_1_3_with_authenticated_encryption(site: Site) -> None:
    for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        got, cipher = shaken(site, version, "ALL")
        assert got == name
        assert any(mode in cipher for mode in ("GCM", "POLY1305"))


class Camera:
    """A stream of frames: each is sent when the answer to the one before has been asked for."""

    def __init__(self, client: Client, picture: bytes) -> None:
        self._picture, self._stop = picture, threading.Event()
        self._answers = client.identify_stream(pb.StreamSettings(gallery_id=GALLERY, lossless=True), self._frames())

    def _frames(self) -> Iterator[pb.StreamFrame]:
        number = 0
        while not self._stop.is_set():
            number += 1
            yield stream_frame(number, self._picture, number / 10)

    def sees(self) -> bool:
        """Whether the next answer comes; raises the status of a stream that has ended."""
        return next(self._answers).frame_id > 0

    def close(self) -> None:
        self._stop.set()


def test_certificate_key_and_authority_are_replaced_while_a_stream_is_open(
    serve: Serve, tmp_path: Path, pictures: Pictures
) -> None:
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    used = tuple(tmp_path / f"used.{name}" for name in ("pem", "key", "ca"))

    def install(files: Files, *authorities: Authority) -> None:
        for source, target in zip(files, used, strict=False):
            shutil.copy(source, target)
        used[2].write_bytes(b"".join(each.pem for each in authorities))

    install(old.sign("first", "DNS:localhost"), old)
    serving = serve(*flags(*used))
    of_old, of_new = old.sign("of-old", "DNS:old"), new.sign("of-new", "DNS:new")
    with connected(serving, old, of_old) as before:
        before.create_gallery(GALLERY)
        camera = Camera(before, pictures.yaoming)
        assert camera.sees()

        install(new.sign("second", "DNS:localhost"), old, new)
        for files in (of_old, of_new):
            with connected(serving, new, files) as client:
                assert client.get_gallery(GALLERY)
        with connected(serving, old, of_old) as trusts_the_old, pytest.raises(Unavailable):
            trusts_the_old.get_gallery(GALLERY)
        assert camera.sees(), "an open stream survives the rotation"

        install(new.sign("third", "DNS:localhost"), new)
        with pytest.raises(Unauthenticated):
            until(lambda: not camera.sees())
        with pytest.raises(Unauthenticated):
            before.get_gallery(GALLERY)
        with connected(serving, new, of_old) as removed, pytest.raises(Unavailable):
            removed.get_gallery(GALLERY)
        with connected(serving, new, of_new) as remaining:
            assert remaining.get_gallery(GALLERY)
        camera.close()
    assert serving.stop() == 0


def test_an_authority_that_cannot_be_used_is_refused_at_start(refused: Refused, tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    certificate, key = ca.sign("server", "DNS:localhost")
    result = refused(*flags(certificate, key, key))
    assert result.returncode == 1
    assert f"server.tls_client_ca: {key} holds no certificates in PEM" in result.stderr
    result = refused(*flags(certificate, key, tmp_path / "none.pem"))
    assert f"cannot open {tmp_path}/none.pem: No such file or directory" in result.stderr
    result = refused("--server.tls-client-ca", str(ca.file))
    assert result.returncode == 2
    assert "tls_client_ca requires tls_certificate and tls_key" in result.stderr


def test_the_commands_that_facet_certs_prints_work_when_they_are_typed(
    serve: Serve, run_script: Run, tmp_path: Path
) -> None:
    def printed(*arguments: str) -> list[list[str]]:
        result = run_script("certs.py", *arguments)
        assert result.returncode == 0, result.stderr
        return [shlex.split(line) for line in result.stdout.partition("Next:\n")[2].splitlines()]

    make_server, *_ = printed("client", "camera-1")
    assert Path(make_server[0]).name == "certs.py"
    assert make_server[1] == "server"
    printed(*make_server[1:])
    (server, *server_flags), (status, *status_flags) = printed("client", "camera-2")
    assert (Path(server).name, Path(status).name) == ("serve.py", "status.py")
    serving = serve("--models.objects", "none", *server_flags)
    shown = run_script("status.py", *status_flags, FACET_ADDRESS=serving.address)
    assert shown.returncode == 0, shown.stdout + shown.stderr

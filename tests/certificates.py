"""Certificates for localhost that sign themselves, made by the program openssl."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

_AUTHORITY = """
[ca]
default_ca = ca
[ca]
database = {folder}/index.txt
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = extensions
unique_subject = no
[any]
commonName = supplied
[extensions]
{names}
"""


def make_certificate(
    folder: Path, name: str, *, start: datetime, end: datetime, names: str = "DNS:localhost,IP:127.0.0.1"
) -> tuple[Path, Path]:
    """Make a certificate and its key; skips the test if there is no openssl.

    Args:
        folder: where the files are written.
        name: of the files, without suffix.
        start: when it becomes valid.
        end: when it expires.
        names: its subjectAltName; empty for none.

    Returns:
        The files of the certificate and of its key.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl program to make certificates")
    certificate, key, request = (folder / f"{name}.{suffix}" for suffix in ("pem", "key", "csr"))
    settings = folder / "authority.cnf"
    settings.write_text(_AUTHORITY.format(folder=folder, names=f"subjectAltName = {names}" if names else ""), "ascii")
    (folder / "index.txt").write_text("", "ascii")
    elliptic = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    _run(openssl, "req", *elliptic, "-subj", "/CN=localhost", "-keyout", key, "-out", request)
    validity = ("-startdate", _written(start), "-enddate", _written(end))
    signed = ("-selfsign", "-keyfile", key, "-in", request, "-out", certificate, "-notext", "-outdir", folder)
    _run(openssl, "ca", "-batch", "-config", settings, *validity, *signed)
    return certificate, key


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%SZ")


def _run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)

"""``facet certs server`` and ``facet certs client``: certificates for development, signed by the CA of a folder."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from cryptography import x509

from facet.cli.certs.authority import (
    AuthorityError,
    Pair,
    Purpose,
    client_name,
    host_name,
    load_authority,
    new_authority,
    sign,
)
from facet.terminal import console, private_files
from facet.terminal.command_line.program import spelled

_DAYS, _CA_DAYS = 30, 90
_LOCALHOST = ("localhost", "127.0.0.1", "::1")
_NOTE = (
    "These certificates are for development: whoever has {key} can make more. In production, let the authority of your "
    "organisation sign certificates, and keep its key away from servers and clients."
)
_NOT_IN_A_FILE_NAME = re.compile(r"[^a-z0-9._-]+")

Folder = Annotated[Path, typer.Option(help="Folder of the CA and the certificates.")]
Days = Annotated[
    int, typer.Option(min=1, max=397, help="How long the certificate is valid; at most as long as its CA.")
]
Name = Annotated[
    str, typer.Option("--name", metavar="FILE", help="Name of the files, without .pem and .key.", show_default=False)
]


def server(
    host: Annotated[
        list[str],
        typer.Option("--host", help="Host name or IP address that clients connect to; may be repeated."),
    ] = list(_LOCALHOST),  # noqa: B006 - typer copies it
    folder: Folder = Path("certs"),
    name: Name = "server",
    days: Days = _DAYS,
    as_json: console.AsJson = False,
) -> None:
    """Make a certificate for a server, and a CA for development if the folder has none.

    Files that exist are never overwritten. All files have mode 0600. To renew a certificate, delete its two files
    first: a server that runs takes the new ones without a restart.

    [b]Examples[/b]

      facet certs server
      facet certs server --host facet.example --host 192.0.2.10 --days 7

    Exit code: 0 done, 1 a file exists or cannot be written, 2 bad usage.
    """
    names = _names(host, host_name, "--host")
    made = _make(folder, name, "server", names, days)
    address = "" if host == list(_LOCALHOST) else f" --address {_address(host[0])}"
    serve = f"facet serve --server.tls-certificate {made.certificate} --server.tls-key {made.key}"
    _report(made, [serve, f"facet status --ca {made.ca}{address}"], as_json=as_json)


def client(
    client: Annotated[
        str, typer.Argument(help="Who it is: a name such as camera-1, or a URI such as spiffe://site/camera-1.")
    ],
    folder: Folder = Path("certs"),
    name: Name = "",
    days: Days = _DAYS,
    as_json: console.AsJson = False,
) -> None:
    """Make a certificate for a client, and a CA for development if the folder has none.

    The client's name is the subjectAltName of its certificate. Files that exist are never overwritten. All files have
    mode 0600.

    [b]Examples[/b]

      facet certs client camera-1
      facet certs client spiffe://site/camera-1 --days 7

    Exit code: 0 done, 1 a file exists or cannot be written, 2 bad usage.
    """
    names = _names([client], client_name, "CLIENT")
    made = _make(folder, name or _file_name(client), "client", names, days)
    server_files = [shlex.quote(str(folder / f"server.{suffix}")) for suffix in ("pem", "key")]
    tls = f"--server.tls-certificate {server_files[0]} --server.tls-key {server_files[1]}"
    commands = [
        f"facet serve {tls} --server.tls-client-ca {made.ca}",
        f"facet status --ca {made.ca} --certificate {made.certificate} --key {made.key}",
    ]
    if not (folder / "server.pem").exists():
        commands.insert(0, f"facet certs server --folder {shlex.quote(str(folder))}")
    hint = f"If the server has callers, let it in: facet keys create --certificate {shlex.quote(str(names[0].value))}"
    _report(made, commands, f"{hint} --scope recognize", as_json=as_json)


class _Made:
    """What was made: its files, quoted for a shell, and its pair."""

    def __init__(self, folder: Path, name: str, pair: Pair, files: Sequence[Path]) -> None:
        self.pair, self.files = pair, files
        paths = (folder / "ca.pem", folder / f"{name}.pem", folder / f"{name}.key", folder / "ca.key")
        self.ca, self.certificate, self.key, self.ca_key = (shlex.quote(str(path)) for path in paths)


def _names(given: Sequence[str], parse: Callable[[str], x509.GeneralName], where: str) -> list[x509.GeneralName]:
    try:
        return [parse(each) for each in dict.fromkeys(given)]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=where) from None


def _make(folder: Path, name: str, purpose: Purpose, names: Sequence[x509.GeneralName], days: int) -> _Made:
    """Make the files of a certificate, and those of the CA if there is none; exits if one of them exists."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    if name == "ca" or "/" in name:
        raise typer.BadParameter(f"{name!r} is no name of a certificate's files", param_hint="--name")
    for file in (certificate, key):
        if os.path.lexists(file):
            console.fail(f"{file} exists and is not overwritten: delete it and its pair, or use another --name")
    try:
        private_files.make_folder(folder)
        authority, written = _authority(folder)
        pair = sign(authority, purpose, names, days)
        _write(key, pair.key_pem)
        _write(certificate, pair.certificate_pem)
    except OSError as error:
        console.fail(f"cannot write {error.filename or folder}: {error.strerror}")
    return _Made(folder, name, pair, [*written, certificate, key])


def _authority(folder: Path) -> tuple[Pair, list[Path]]:
    """The CA of a folder, and its files if they were made now."""
    certificate, key = folder / "ca.pem", folder / "ca.key"
    if not os.path.lexists(certificate) and not os.path.lexists(key):
        made = new_authority(_CA_DAYS)
        _write(key, made.key_pem)
        _write(certificate, made.certificate_pem)
        return made, [certificate, key]
    for file in (certificate, key):
        if not file.exists():
            _unusable(folder, f"{file} is missing")
    try:
        return load_authority(certificate.read_bytes(), key.read_bytes()), []
    except AuthorityError as error:
        _unusable(folder, f"{certificate} {error}")


def _unusable(folder: Path, why: str) -> NoReturn:
    console.fail(f"the CA of {folder} cannot sign: {why}; move the folder away, or use another --folder")


def _write(file: Path, data: bytes) -> None:
    descriptor = private_files.open_descriptor(file, os.O_WRONLY | os.O_EXCL)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(data)


def _report(made: _Made, commands: Sequence[str], hint: str = "", *, as_json: bool) -> None:
    end = made.pair.certificate.not_valid_after_utc
    if as_json:
        files = [str(file) for file in made.files]
        console.print_json({"files": files, "expires": end.isoformat(timespec="seconds"), "next": list(commands)})
        return
    for file in made.files:
        console.out.print(f"made {file}")
    console.out.print(f"valid until {end:%Y-%m-%d}")
    console.out.print(f"\n{_NOTE.format(key=made.ca_key)}\n")
    if hint:
        console.out.print(f"{spelled(hint)}\n")
    console.out.print("Next:")
    for command in commands:
        console.out.print(f"  {spelled(command)}")


def _address(host: str) -> str:
    return shlex.quote(f"[{host}]:50051" if ":" in host.strip("[]") and "[" not in host else f"{host}:50051")


def _file_name(client: str) -> str:
    """The last part of a client's name, as the name of a file."""
    last = client.rstrip("/").rpartition("/")[2] or client
    return _NOT_IN_A_FILE_NAME.sub("-", last.lower()).strip(".-") or "client"

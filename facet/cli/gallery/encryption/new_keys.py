"""``facet gallery encryption new-key`` and ``new-identity``: make secret keys in files."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from facet.terminal import console, private_files
from facet.terminal.command_line.program import spelled
from gallery.encryption import age, master_keys
from gallery.errors import KeysUnusable


def new_key(
    file: Annotated[Path, typer.Argument(help="The file of master keys.", show_default=False)],
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Put a new key in front of those in FILE; they can still decrypt.")
    ] = False,
    as_json: console.AsJson = False,
) -> None:
    """Make the master key that encrypts a database, in a file that only its owner can read.

    With --rotate, FILE gets a new key in front of its old ones. A server that uses FILE takes it within a second, and
    encrypts its data keys anew. Remove the old keys from FILE once [b]facet gallery encryption status[/b] says that
    they are no longer used.
    """
    if file.exists() and not rotate:
        console.fail(f"{file} exists: add --rotate to put a new key in front of those in it")
    old = ""
    if rotate:
        try:
            master_keys.KeyFile(file).read()
            old = file.read_text()
        except KeysUnusable as error:
            console.fail(str(error))
    with _writing(file):
        private_files.write(file, f"{master_keys.new_key()}\n{old}")
    current = master_keys.KeyFile(file).read()
    if as_json:
        console.print_json({"file": str(file), "current": current.current.id, "keys": [key.id for key in current.keys]})
    else:
        console.out.print(f"{file}: master key {current.current.id} is current; keep a copy where the database is not")


def new_identity(
    file: Annotated[Path, typer.Argument(help="The file to write the secret key to.", show_default=False)],
    as_json: console.AsJson = False,
) -> None:
    """Make a key pair: the public key encrypts exports and backups, and the secret key in FILE decrypts them.

    The public key is written to FILE.pub, for --encrypt-to. Keep FILE where the encrypted files are not. Keys that
    [b]age-keygen[/b] makes, and keys of SSH, work as well.
    """
    if file.exists():
        console.fail(f"{file} exists, and is not replaced: what it decrypts would be lost with it")
    secret, public = age.new_identity()
    public_file = file.with_name(f"{file.name}.pub")
    with _writing(file):
        private_files.write(file, f"# public key: {public}\n{secret}\n")
        private_files.write(public_file, f"{public}\n")
    if as_json:
        console.print_json({"file": str(file), "public_key": public, "public_file": str(public_file)})
    else:
        console.out.print(f"public key: {public}", soft_wrap=True)
        export = spelled(f"facet gallery export GALLERY TARGET --encrypt-to {shlex.quote(str(public_file))}")
        console.out.print(f"encrypt with it: {export}", soft_wrap=True)


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        console.fail(f"cannot write {file}: {error.strerror}")

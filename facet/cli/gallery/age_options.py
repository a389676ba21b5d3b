"""The options of commands that write or read files encrypted by age."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from facet.terminal import console
from facet.terminal.command_line.program import spelled
from gallery.encryption import age
from gallery.encryption.age import AgeError

EncryptTo = Annotated[
    list[str] | None,
    typer.Option(
        "--encrypt-to",
        metavar="RECIPIENT",
        help="Encrypt the file by age for a public key (age1..., ssh-ed25519 ...), or for those in a file. Repeatable.",
        show_default=False,
    ),
]
Identity = Annotated[
    Path | None,
    typer.Option(help="The file of the secret key that an encrypted file needs.", show_default=False),
]


@contextmanager
def age_failures() -> Iterator[None]:
    """Explain what is wrong with a recipient, an identity or an encrypted file."""
    try:
        yield
    except AgeError as error:
        console.fail(str(error))


def recipients(texts: Sequence[str] | None) -> list[Any]:
    """Return the recipients of ``--encrypt-to``; empty if there is none. Exits with a usage error if one is wrong."""
    try:
        return age.recipients_of(texts) if texts else []
    except AgeError as error:
        console.fail(str(error), console.USAGE)


def identities(file: Path, identity: Path | None) -> list[Any]:
    """Return the identities that decrypt a file; empty if it is not encrypted.

    Exits with a usage error if it needs an identity and there is none, or the other way round.
    """
    try:
        is_encrypted = age.is_encrypted(file)
    except OSError as error:
        console.fail(f"cannot read {file}: {error.strerror}", console.USAGE)
    if not is_encrypted:
        if identity is not None:
            console.fail(f"{file} is not encrypted by age: leave --identity out", console.USAGE)
        return []
    if identity is None:
        make = spelled(f"facet gallery encryption new-identity {shlex.quote('identity.txt')}")
        console.fail(f"{file} is encrypted: add --identity FILE, the secret key that {make} made", console.USAGE)
    try:
        return age.identities_of(identity)
    except AgeError as error:
        console.fail(str(error), console.USAGE)

"""The options of commands that open an encrypted database; the variables are those of the server's settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from facet.terminal import console
from gallery.encryption.key_file import key_path
from gallery.encryption.keyring import Keyring
from gallery.encryption.master_keys import MasterKeySource, master_key_source


@dataclass(frozen=True, slots=True)
class MasterKeys:
    """Options: where the master keys of an encrypted database come from.

    Attributes:
        key_file: the file that holds them.
        key_env: the name of a variable that holds them.
        key_command: a command that prints them.
    """

    key_file: Annotated[
        Path | None,
        typer.Option(
            "--encryption-key-file",
            envvar="FACET_GALLERY__ENCRYPTION_KEY_FILE",
            help="Of an encrypted database: the file of master keys.",
            show_default=False,
        ),
    ] = None
    key_env: Annotated[
        str,
        typer.Option(
            "--encryption-key-env",
            envvar="FACET_GALLERY__ENCRYPTION_KEY_ENV",
            help="Instead of a file: the name of a variable with the master key.",
            show_default=False,
        ),
    ] = ""
    key_command: Annotated[
        str,
        typer.Option(
            "--encryption-key-command",
            envvar="FACET_GALLERY__ENCRYPTION_KEY_COMMAND",
            help="Instead of a file: a command that prints the master key.",
            show_default=False,
        ),
    ] = ""

    def source(self) -> MasterKeySource | None:
        """Where they come from, if anywhere; exits with a usage error if several places are named."""
        if sum(map(bool, (self.key_file, self.key_env, self.key_command))) > 1:
            console.fail("--encryption-key-file, -env and -command exclude each other", console.USAGE)
        return master_key_source(self.key_file, self.key_env, self.key_command)


def keyring_of(database: Path, source: MasterKeySource | None, key_file: Path | None = None) -> Keyring | None:
    """Return the data keys of a database; ``None`` if it has no key file, or if no master key is named.

    Args:
        database: the database.
        source: where the master keys come from.
        key_file: its key file; ``None`` for the one beside it.

    Raises:
        KeysUnusable: the master key or the key file is not the right one.
    """
    if source is None:
        return None
    path = key_file or key_path(database.resolve())
    return Keyring(path, source.read()) if key_file or path.exists() else None

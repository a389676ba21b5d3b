"""The command ``facet gallery encryption``: make keys, and show how far a database is encrypted."""

from __future__ import annotations

import typer

from facet.terminal.command_line.lazy import Lazy, lazy_group

COMMANDS = (
    Lazy("new-key", "facet.cli.gallery.encryption.new_keys:new_key", "Make a master key, or the next one."),
    Lazy("status", "facet.cli.gallery.encryption.status:status", "Show how far a database is encrypted."),
    Lazy("renew", "facet.cli.gallery.encryption.status:renew", "Give every gallery a new data key."),
    Lazy("new-identity", "facet.cli.gallery.encryption.new_keys:new_identity", "Make a key pair for encrypted files."),
)

app = typer.Typer(cls=lazy_group(COMMANDS), add_completion=False, rich_markup_mode="rich", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Make the keys that encrypt databases, exports and backups, and show how far a database is encrypted.

    [b]Examples[/b]

      facet gallery encryption new-key master.key
      facet serve --gallery.encryption-key-file master.key
      facet gallery encryption status facet.sqlite3
      facet gallery encryption new-identity identity.txt
      facet gallery backup facet.sqlite3 monday.age --encrypt-to age1...
      facet gallery restore monday.age facet.sqlite3 --identity identity.txt

    docs/security.md explains what is encrypted, and how keys are rotated.

    Exit code: 0 done, 1 something failed, 2 bad usage.
    """

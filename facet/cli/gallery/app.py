"""The command ``facet gallery``: list, delete, back up and transfer galleries."""

from __future__ import annotations

import typer

from facet.terminal.command_line.lazy import Lazy, lazy_group

COMMANDS = (
    Lazy("list", "facet.cli.gallery.listing:list_galleries", "List the galleries of a server."),
    Lazy("delete", "facet.cli.gallery.listing:delete_gallery", "Delete a gallery of a server."),
    Lazy("policy", "facet.cli.gallery.policy:policy", "Show or change consent and retention of a gallery."),
    Lazy(
        *("duplicates", "facet.cli.gallery.duplicates.command:duplicates"),
        "Find people who are enrolled twice, and wrong pictures.",
    ),
    Lazy("migrate", "facet.cli.gallery.migrate.app:app", "Take a gallery to another embedding model."),
    Lazy("backup", "facet.cli.gallery.maintenance:backup", "Copy a database; the server may run."),
    Lazy("restore", "facet.cli.gallery.maintenance:restore", "Replace a database with a backup."),
    Lazy("verify", "facet.cli.gallery.maintenance:verify", "Read a whole database, and report what is wrong."),
    Lazy("compact", "facet.cli.gallery.maintenance:compact", "Rewrite a database without space left by deletions."),
    Lazy("export", "facet.cli.gallery.transfer:export_gallery", "Write a server's gallery to a Parquet file."),
    Lazy("copy", "facet.cli.gallery.copying.command:copy", "Copy galleries from one server to another."),
    Lazy("encryption", "facet.cli.gallery.encryption.app:app", "Make the keys of databases and files."),
    Lazy("import", "facet.cli.gallery.transfer:import_gallery", "Create a gallery of a server from such a file."),
)

app = typer.Typer(cls=lazy_group(COMMANDS), add_completion=False, rich_markup_mode="rich", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Look after galleries: list, delete, set policies, find duplicates, migrate, back up, restore, verify, move.

    [b]Examples[/b]

      facet gallery list
      facet gallery delete team --force
      facet gallery policy team --subject-retention 365d --dry-run
      facet gallery duplicates team --page duplicates.html
      facet gallery migrate team --to mobilefacenet-128
      facet gallery backup facet.sqlite3 monday.sqlite3
      facet gallery verify monday.sqlite3
      facet gallery restore monday.sqlite3 facet.sqlite3
      facet gallery compact facet.sqlite3
      facet gallery export team team.parquet
      facet gallery import team.parquet --gallery team-2
      facet gallery copy --all --from 127.0.0.1:50051 --to db.example.org:50051
      facet gallery encryption new-key master.key

    List, delete, policy, duplicates, migrate, export, import and copy go through a running server. The other commands
    work on the database file, which the setting [b]gallery.database[/b] names: run them on the server's machine, as the
    server's user. Stop the server before restore and compact; it may run during backup and verify. With [b]--json[/b]
    every command prints JSON for programs.

    Exit code: 0 done, 1 something is damaged or failed, 2 bad usage.
    """

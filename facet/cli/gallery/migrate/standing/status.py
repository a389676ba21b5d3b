"""``facet gallery migrate status``: where a migration stands, and the next step."""

from __future__ import annotations

from facet.cli.gallery.migrate.options import Gallery
from facet.cli.gallery.migrate.standing.report import as_plain, print_state
from facet.cli.gallery.migrate.standing.steps import Steps
from facet.terminal import console
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.terminal.visible import one_line


@grouped_options
def status(
    gallery: Gallery,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Show where a migration stands: its models, embeddings, thresholds, problems, and the next step as a command.

    [b]Examples[/b]

      facet gallery migrate status team
      facet gallery migrate status team --json
    """
    steps = Steps(gallery, connection.address)
    with connection.open() as client:
        found = client.get_gallery(gallery)
        info = client.get_server_info()
    if as_json:
        console.print_json(as_plain(found, steps, info.embedding_models))
        return
    if info.embedding_next_problem and not found.HasField("migration"):
        console.out.print(f"models.embedding_next is not loaded: {one_line(info.embedding_next_problem)}")
    print_state(found, steps, info.embedding_models)

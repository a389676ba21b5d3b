"""``facet status``: a server's health, load, throughput, errors, galleries, models and latencies."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Annotated

import typer
from rich.live import Live
from rich.text import Text

from facet.cli.shared.terms import moment
from facet.cli.status.drift import accept as accept_drift
from facet.cli.status.drift import as_plain as drift_as_plain
from facet.cli.status.drift import assess, compares_nothing, has_alarm, read_span
from facet.cli.status.drift import rendered as rendered_drift
from facet.cli.status.plain import as_plain
from facet.cli.status.server_status import (
    UNREACHABLE,
    Status,
    ask,
)
from facet.cli.status.tables import rendered
from facet.terminal import console
from facet.terminal.command_line.help import Command
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.terminal.visible import visible

CHANGED = 3
"""Exit code: the faces of a camera or caller have changed."""

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command(cls=Command)
@grouped_options
def main(
    watch: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Repeat at this interval until Ctrl-C; 0: once.")
    ] = 0.0,
    drift: Annotated[
        bool, typer.Option("--drift", help="Show estimated errors and drift, by gallery and by camera or caller.")
    ] = False,
    gallery: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="With --drift: only this gallery; may be repeated.")
    ] = None,
    reference: Annotated[
        str, typer.Option(metavar="FROM..TO", help="With --drift: compare with this period, in UTC.")
    ] = "",
    accept: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            help="With --drift and one --gallery: begin a new reference period, for a camera or caller, or for all.",
        ),
    ] = "",
    accept_since: Annotated[
        str, typer.Option(metavar="TIME", help="With --accept: when it begins, in UTC. Default: now.")
    ] = "",
    fail_on_alarm: Annotated[
        bool, typer.Option("--fail-on-alarm", help="With --drift: exit with 3 if faces have changed.")
    ] = False,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Show how a server is doing: health, load, throughput, errors, galleries, models and latencies.

    Throughput is requests per second over the last minute, to about 5 %; an item of a batch and a frame of a stream
    count as requests. A request is refused if the server has no room for it. Latencies are those of all requests
    since the server started, and of those that ended in the last minute, in milliseconds: half took no longer than
    p50, 99 % no longer than p99. Stages of one request that ran in parallel may add up to more than the request took.

    With [b]--json[/b] a line of JSON, with [b]--watch[/b] one each time: [i]health[/i], [i]version[/i], [i]caller[/i],
    [i]uptime_s[/i], [i]models[/i], [i]runtime[/i], [i]queue[/i], [i]requests_per_s[/i], [i]errors[/i],
    [i]open_streams[/i], [i]galleries[/i], and [i]stages[/i] and [i]methods[/i], each with [i]since_start[/i] and
    [i]last_minute[/i] of [i]count, p50_ms, p95_ms, p99_ms[/i].

    With [b]--drift[/b], what the counts of the last day show without labels: the share of unknown people, the expected
    FPIR and FNIR with 95 % intervals, which need a calibration, and which quantities differ from the reference period:
    the first 7 days and 2,000 faces after the calibration, or those of [b]--reference[/b], which needs 1,500 faces. If
    a change is there to stay, such as another camera, [b]--accept camera:door[/b] ends its alarm and begins a new
    reference period. A camera that has no reference period yet is not compared and has no alarm, also not for
    [b]--fail-on-alarm[/b], which says so. Needs the scope admin. Its JSON has [i]alarm[/i], [i]compared_sources[/i]
    and [i]galleries[/i], each with its [i]sources[/i].

    [b]Examples[/b]

      facet status
      facet status --drift
      facet status --drift --reference 2026-11-01..2026-11-08 --fail-on-alarm
      facet status --drift --gallery team --accept camera:door
      facet status --drift --gallery team --accept all --accept-since 2026-11-02
      facet status --watch 2
      facet status --json | jq .stages.detect.last_minute.p99_ms

    Exit code: 0 the server serves, 1 it does not or cannot be reached, 2 bad usage, 3 faces have changed, with
    --fail-on-alarm. With --watch: the last state.
    """
    if not drift and (gallery or reference or fail_on_alarm or accept):
        console.fail("--gallery, --reference, --accept and --fail-on-alarm need --drift", console.USAGE)
    if accept and len(gallery or []) != 1:
        console.fail("--accept needs one --gallery", console.USAGE)
    if accept_since and not accept:
        console.fail("--accept-since needs --accept", console.USAGE)
    span = read_span(reference, "--reference")
    start = moment(accept_since, "--accept-since") if accept_since else None
    if drift:
        if watch:
            console.fail("--drift and --watch exclude each other", console.USAGE)
        with connection.open() as client:
            if accept and gallery:
                said = accept_drift(client, gallery[0], accept, start)
                (console.err if as_json else console.out).print(Text(visible(said)))
            found = assess(client, gallery or [], span)
        if as_json:
            console.print_json(drift_as_plain(found))
        else:
            console.out.print(rendered_drift(found, span))
        if fail_on_alarm and compares_nothing(found):
            console.err.print("nothing is compared yet: there can be no alarm")
        raise typer.Exit(CHANGED if fail_on_alarm and has_alarm(found) else console.DONE)
    status = Status(UNREACHABLE)
    with connection.open() as client, suppress(KeyboardInterrupt):
        if watch and console.out.is_terminal and not as_json:
            with Live(console=console.out, auto_refresh=False) as live:
                while True:
                    status = ask(client, connection.address, connection.token)
                    live.update(rendered(status, connection.address), refresh=True)
                    time.sleep(watch)
        while True:
            status = ask(client, connection.address, connection.token)
            if as_json:
                console.print_json(as_plain(status, connection.address))
            else:
                console.out.print(rendered(status, connection.address))
            if not watch:
                break
            time.sleep(watch)
    raise typer.Exit(console.DONE if status.info is not None else console.FAILED)

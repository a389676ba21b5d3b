"""``facet bench hostile``: attacks a server while well-behaved clients measure it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from facet import FacetError
from facet.benchmarks.hostile.attackers.attacker import Attacker
from facet.benchmarks.hostile.attackers.catalogue import all_attackers
from facet.benchmarks.hostile.attacks import run_attack
from facet.benchmarks.hostile.figures import Attack, Hostile
from facet.benchmarks.hostile.tables import show, show_attackers
from facet.benchmarks.hostile.victims import CAMERA, RATES, Habits
from facet.benchmarks.serving.pictures import samples
from facet.benchmarks.streams.scenes import street
from facet.benchmarks.this_machine import this_machine
from facet.benchmarks.watched_server import watched_server
from facet.runtime.models import ModelError
from facet.terminal import console
from facet.terminal.console import AsJson

_FRAME_WIDTH = 640


def hostile(
    attack: Annotated[
        list[str] | None,
        typer.Option(help="An attacker to run; may be given several times.", show_default="all of them"),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.5, max=600, help="Duration of each attack.")] = 6.0,
    patience: Annotated[float, typer.Option(min=1, max=60, help="Deadline of the victims' calls, seconds.")] = 5.0,
    authenticated: Annotated[
        bool, typer.Option("--authenticated", help="Every attacker has the token, not only those that need it.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the attackers, and do nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Attack a server in every way that is known, one after the other, while well-behaved clients measure it.

    Each attack has a server of its own, started by this command on loopback; there is no way to attack another one. The
    attacker is a process with the lowest priority. It has the server's token if it is harmless without; some run
    twice, without and with it. The victims are another process: they identify a portrait over one connection and over
    a new one each time, check the health, read the metrics, and send the frames of a camera. The server's settings are
    the defaults, with a token.

    First the victims run alone for [b]--seconds[/b], then with the attacker for as long, then until the server has
    recovered. What counts, and the bar for each:

      victim_p99_ratio  99th percentile of the victims' latency during the
                        attack over that before, at most 1.5. A call that
                        fails counts as if it had taken all its time.
      victim_failures   calls that fail, after the client's own retries, 0
      internal_errors   calls answered with INTERNAL, and unexpected errors
                        in the server's log, 0
      rss_growth_mb     the server's most memory over the idle one, at most 300
      recovered_s       seconds after the attack until latency and memory are
                        back, at most 2

    All attacks take about twenty minutes; docs/reliability.md has results. On a busy machine latency varies by itself:
    repeat an attack that misses only the first bar.

    [b]Examples[/b]

      facet bench hostile --list
      facet bench hostile --attack headers-only --attack png-inflates
      facet bench hostile --seconds 10 --json

    Exit code: 0 all figures are within their bars, 1 one is not, 2 bad usage.
    """
    attackers = _chosen(attack or ())
    if listed:
        show_attackers(attackers)
        return
    try:
        measured = Hostile(_run(attackers, seconds, patience, authenticated=authenticated), this_machine(), seconds)
    except (ModelError, FacetError, OSError, RuntimeError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json(measured.document())
    else:
        show(measured)
    if any(each.missed() for each in measured.attacks):
        raise typer.Exit(console.FAILED)


def _chosen(names: Sequence[str]) -> list[Attacker]:
    attackers = all_attackers()
    known = {attacker.name for attacker in attackers}
    if unknown := [name for name in names if name not in known]:
        console.fail(f"there is no attacker {unknown[0]!r}; --list lists them", console.USAGE)
    return [attacker for attacker in attackers if not names or attacker.name in names]


def _run(attackers: Sequence[Attacker], seconds: float, patience: float, *, authenticated: bool) -> list[Attack]:
    portrait = samples(None).one.data
    habits = Habits(portrait, street(RATES[CAMERA], _FRAME_WIDTH), patience)
    attacks = [(each, has_token) for each in attackers for has_token in tokens(each, authenticated=authenticated)]
    results = []
    with console.progress("Attacking", len(attacks)) as bar:
        for attacker, has_token in attacks:
            bar.update(bar.task_ids[0], description=attacker.name)
            with (
                tempfile.TemporaryDirectory(prefix="facet-bench-") as folder,
                watched_server(Path(folder), portrait) as server,
            ):
                results.append(run_attack(server, habits, attacker, seconds, authenticated=has_token))
            bar.advance(bar.task_ids[0])
    return results


def tokens(attacker: Attacker, *, authenticated: bool) -> Sequence[bool]:
    """Whether an attacker has the token, for each time that it runs.

    Args:
        attacker: it.
        authenticated: whether all attackers have the token.
    """
    if authenticated or attacker.needs_token:
        return (True,)
    return (False, True) if attacker.token_matters else (False,)

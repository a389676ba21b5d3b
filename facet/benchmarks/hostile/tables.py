"""The results of ``facet bench hostile`` as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from facet.benchmarks.hostile.attackers.attacker import Attacker
from facet.benchmarks.hostile.figures import MAX_GROWTH_MB, MAX_P99_RATIO, MAX_RECOVERY_SECONDS, Attack, Hostile
from facet.terminal import console
from facet.terminal.tables import number, table, whole


def show(measured: Hostile) -> None:
    """Print one line for each attack, and the worst of every figure."""
    columns = ("p99\nratio", "fail-\nures", "int.\nerrors", "MiB\nmore", "s to\nrecover")
    shown = table(
        *("attacker", "token"),
        *map(number, columns),
        "verdict",
        title=f"{measured.seconds:g} seconds each; p99 of the victims, memory over the idle server",
    )
    for attack in measured.attacks:
        shown.add_row(attack.name, "yes" if attack.authenticated else "no", *_figures(attack), _verdict(attack))
    worst = measured.document()
    shown.add_section()
    shown.add_row(
        *("worst", "", f"{worst['victim_p99_ratio']:.2f}", str(worst["victim_failures"])),
        *(str(worst["internal_errors"]), f"{worst['rss_growth_mb']:.0f}", f"{worst['recovered_s']:.1f}", ""),
    )
    shown.add_row("at most", "", f"{MAX_P99_RATIO:g}", "0", "0", f"{MAX_GROWTH_MB:g}", f"{MAX_RECOVERY_SECONDS:g}", "")
    console.out.print(shown)


def show_attackers(attackers: Sequence[Attacker]) -> None:
    """Print what each attacker does."""
    shown = table(whole("attacker"), "token", "what it does")
    for attacker in attackers:
        token = "yes" if attacker.needs_token else "both" if attacker.token_matters else "no"
        shown.add_row(attacker.name, token, attacker.what)
    console.out.print(shown)


def _figures(attack: Attack) -> tuple[str, ...]:
    return (
        f"{attack.victim_p99_ratio:.2f}",
        str(attack.victim_failures),
        str(attack.internal_errors),
        f"{attack.rss_growth_mb:.0f}",
        f"{attack.recovered_s:.1f}",
    )


def _verdict(attack: Attack) -> Text:
    missed = attack.missed()
    return Text(", ".join(missed), "red") if missed else Text("held", "green")

"""All attackers, in the order in which they run."""

from __future__ import annotations

from facet.benchmarks.hostile.attackers import calls, connections, floods, messages, pictures, streams
from facet.benchmarks.hostile.attackers.attacker import Attacker


def all_attackers() -> list[Attacker]:
    """One of each kind."""
    made = (*connections.ATTACKERS, *floods.ATTACKERS, *calls.ATTACKERS, *messages.ATTACKERS, *streams.ATTACKERS)
    return [*(make() for make in made), *pictures.attackers()]

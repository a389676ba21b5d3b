"""Decides which connections to end: too many, idle, or busy without use."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from facet.server.access.share import network_of
from facet.server.connections.activity import Activity, Calls, Endpoint
from facet.server.connections.sockets import Connection

Reason: TypeAlias = Literal[
    "too_many",
    "too_many_of_address",
    "idle",
    "no_calls",
    "no_messages",
    "cancelled_calls",
    "oversized_metadata",
    "unfinished_messages",
]
REASONS: tuple[Reason, ...] = get_args(Reason)

_MAX_BYTES_WITHOUT_CALL = 512 * 1024
"""A client that follows gRPC sends less than 1 KB between two calls, and a TLS handshake less than 16 KB. But while the
event loop is behind, nobody has seen its first calls yet, for which gRPC receives 256 KB of messages."""
_MAX_BYTES_OF_WAITING_CALLS = 2**20
"""The same between two calls of a connection that had one: the rest of messages of ended calls may still arrive."""
_ENDING_SECONDS = 1.0
"""The rest of a message of a refused call may arrive for so long after the call has ended."""
_MAX_BYTES_AHEAD = 256 * 1024
"""Of a call: what gRPC receives before it is asked for a message, and frames."""
_OVERHEAD, _OVERHEAD_EACH = 1 / 64, 4096
"""What frames and TLS add to the bytes of messages, at most, and what headers (a token, a trace, what a proxy adds) and
small frames add to each message and each call. If it were too little, honest connections would seem to hold more and
more. A client that sends small messages hides so much of its half messages with each of them."""
_MAX_CANCELLED_PER_SECOND = 500.0
"""Of one connection; a rapid reset (CVE-2023-44487) cancels thousands."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on connections.

    Attributes:
        connections: how many there may be.
        per_address: how many one IPv4 address, or one /64 network of IPv6 addresses, may have.
        idle_seconds: how long one may be without a call.
        message_bytes: how large a message may be.
        unfinished_bytes: how many bytes of messages that have not arrived in full all connections may hold.
    """

    connections: int
    per_address: int
    idle_seconds: float
    message_bytes: int
    unfinished_bytes: int


@dataclass(slots=True)
class _Known:
    """A connection as it was seen before.

    Attributes:
        quiet_since: when it last had a call, or else when it was first seen, monotonic seconds.
        last_call: as :attr:`Calls.last` was; zero if it had none.
        noted: as :attr:`Calls.noted` was.
        received: its bytes when it last had a call, or a message of one. While calls wait for their refusal, only
            messages count.
        messages: as :attr:`Calls.messages` was.
        cancelled: its cancelled calls when it was last seen.
        excess: cancelled calls above the permitted rate, as in a leaky bucket.
        seen: its bytes when it was last seen, less those of messages that were read and of headers.
        unfinished: about how many bytes it has sent of messages that were not read.
        client: its client's end.
    """

    quiet_since: float
    last_call: float
    noted: int
    received: int
    cancelled: int
    client: Endpoint
    messages: int = 0
    excess: float = 0.0
    seen: float = 0.0
    unfinished: float = 0.0


class Policy:
    """Looks at the connections again and again, and names those to end. A connection with a call is not idle.

    If there are too many, those go first that never had a call, then those whose last call is longest ago, and the
    address with the most connections loses them first. So a flood of connections displaces itself, and a client that
    was displaced connects again with its next call. Connections with open calls stay: those calls have limits of their
    own.

    Args:
        limits: the bounds.
        activity: the calls of each connection.
    """

    def __init__(self, limits: Limits, activity: Activity) -> None:
        self._limits = limits
        self._activity = activity
        self._known: dict[int, _Known] = {}
        self._last_look = 0.0

    def to_end(self, connections: Iterable[Connection], now: float) -> list[tuple[Connection, Reason]]:
        """The connections to end, each with the reason.

        Args:
            connections: all there are now.
            now: monotonic seconds.
        """
        seconds, self._last_look = now - self._last_look, now
        ending: list[tuple[Connection, Reason]] = []
        dispensable: list[Connection] = []
        unfinished: list[Connection] = []
        counts: Counter[str] = Counter()
        known: dict[int, _Known] = {}
        for connection in connections:
            calls = self._activity.of(connection.client)
            state = known[connection.inode] = self._update(connection, calls, now)
            reason = self._misuse(connection, state, calls, now, seconds)
            state.cancelled = calls.cancelled
            if reason is not None:
                ending.append((connection, reason))
                continue
            counts[network_of(connection.client.address)] += 1
            if not calls.open:
                dispensable.append(connection)
            if calls.open or calls.waiting:
                unfinished.append(connection)
        for inode in self._known.keys() - known.keys():
            self._activity.forget(self._known[inode].client)
        self._known = known
        dispensable.sort(key=lambda each: (known[each.inode].last_call, known[each.inode].quiet_since, each.inode))
        ending += self._excess(dispensable, counts)
        ended = {each.inode for each, _ in ending}
        return [*ending, *self._most_unfinished([each for each in unfinished if each.inode not in ended])]

    def _update(self, connection: Connection, calls: Calls, now: float) -> _Known:
        state = self._known.get(connection.inode)
        if state is None:
            state = _Known(now, last_call=0, noted=0, received=0, cancelled=calls.cancelled, client=connection.client)
        if calls.noted != state.noted:
            state.noted = calls.noted
            state.quiet_since = state.last_call = calls.last
            if not calls.waiting or calls.messages != state.messages:
                state.received = connection.received
            state.messages = calls.messages
        elif not calls.open and not calls.waiting and now - state.last_call < _ENDING_SECONDS:
            state.received = connection.received
        # What ended calls have sent in vain is not known. It counts as long as there are calls that could hold as much.
        # A message may be read just after its bytes were counted, and headers are mostly smaller, so there may be less
        # than nothing.
        seen = connection.received - calls.bytes * (1 + _OVERHEAD) - (calls.messages + calls.begun) * _OVERHEAD_EACH
        most = calls.open * (self._limits.message_bytes + _MAX_BYTES_AHEAD) + calls.waiting * _MAX_BYTES_AHEAD
        state.unfinished = min(max(state.unfinished + seen - state.seen, -_MAX_BYTES_OF_WAITING_CALLS), most)
        state.seen = seen
        return state

    def _misuse(self, connection: Connection, state: _Known, calls: Calls, now: float, seconds: float) -> Reason | None:
        if calls.oversized:
            return "oversized_metadata"
        cancelled = calls.cancelled - state.cancelled - _MAX_CANCELLED_PER_SECOND * seconds
        state.excess = max(state.excess + cancelled, 0.0)
        if state.excess > _MAX_CANCELLED_PER_SECOND:
            return "cancelled_calls"
        useless = connection.received - state.received
        if calls.open:
            # Of each call a message that is arriving, and what gRPC receives after it, although nobody asks for it yet.
            expected = _MAX_BYTES_WITHOUT_CALL + calls.open * (self._limits.message_bytes + _MAX_BYTES_AHEAD)
            return "no_messages" if useless > expected else None
        if useless > (_MAX_BYTES_OF_WAITING_CALLS if state.last_call else _MAX_BYTES_WITHOUT_CALL):
            return "no_calls"
        return "idle" if now - state.quiet_since > self._limits.idle_seconds else None

    def _most_unfinished(self, connections: list[Connection]) -> list[tuple[Connection, Reason]]:
        """Those to end because the messages of all have too many bytes that gRPC must hold.

        The network that holds most loses its largest connection first: who spreads half messages over many connections
        ends those, not the large picture of another client. Behind one proxy, and on loopback, all are one network.
        """
        held = {each.inode: max(self._known[each.inode].unfinished, 0) for each in connections}
        excess = sum(held.values()) - self._limits.unfinished_bytes
        if excess <= 0:
            return []
        by_network: defaultdict[str, list[Connection]] = defaultdict(list)
        totals: defaultdict[str, float] = defaultdict(float)
        for connection in sorted(connections, key=lambda each: held[each.inode]):
            network = network_of(connection.client.address)
            by_network[network].append(connection)
            totals[network] += held[connection.inode]
        ending: list[tuple[Connection, Reason]] = []
        while excess > 0:
            network = max(totals, key=totals.__getitem__)
            connection = by_network[network].pop()
            totals[network] -= held[connection.inode]
            excess -= held[connection.inode]
            ending.append((connection, "unfinished_messages"))
        return ending

    def _excess(self, dispensable: Iterable[Connection], counts: Counter[str]) -> list[tuple[Connection, Reason]]:
        """Those to end because there are too many, in the order of ``dispensable`` within each address."""
        by_network: defaultdict[str, list[Connection]] = defaultdict(list)
        for connection in dispensable:
            by_network[network_of(connection.client.address)].append(connection)
        ending: list[tuple[Connection, Reason]] = []
        for network, candidates in by_network.items():
            excess = max(counts[network] - self._limits.per_address, 0)
            ending += [(each, "too_many_of_address") for each in candidates[:excess]]
            by_network[network] = candidates[excess:]
            counts[network] -= min(excess, len(candidates))
        excess = counts.total() - self._limits.connections
        if excess > 0:
            level = _level(counts, by_network, excess)
            for network, candidates in by_network.items():
                ending += [(each, "too_many") for each in candidates[: max(counts[network] - level, 0)]]
        return ending


def _level(counts: Mapping[str, int], candidates: Mapping[str, list[Connection]], excess: int) -> int:
    """The largest number of connections per address that removes the excess, as far as there are candidates."""
    low, high = 0, max(counts.values())
    while low < high:
        level = (low + high + 1) // 2
        removed = sum(min(max(counts[each] - level, 0), len(theirs)) for each, theirs in candidates.items())
        low, high = (level, high) if removed >= excess else (low, level - 1)
    return low

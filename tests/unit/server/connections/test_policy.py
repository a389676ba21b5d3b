"""Which connections are ended, and in which order."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from facet.server.connections.activity import Activity, Endpoint, note_message, note_refused
from facet.server.connections.policy import Limits, Policy
from facet.server.connections.sockets import Connection

MEGABYTE = 2**20
MANY = 2**40


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def activity(clock: Clock) -> Activity:
    return Activity(clock)


def connection(number: int, address: str = "192.0.2.1", received: int = 0) -> Connection:
    return Connection(number, number, Endpoint(address, 50_000 + number), received)


def peer(of: Connection) -> str:
    address = of.client.address
    return f"ipv6:%5B{address}%5D:{of.client.port}" if ":" in address else f"ipv4:{address}:{of.client.port}"


def numbers(ending: Sequence[tuple[Connection, str]]) -> list[tuple[int, str]]:
    return [(each.inode, reason) for each, reason in ending]


def test_connections_within_the_limits_stay(activity: Activity, clock: Clock) -> None:
    policy = Policy(Limits(3, 3, 60, message_bytes=MEGABYTE, unfinished_bytes=MANY), activity)
    for _ in range(5):
        clock.now += 10
        assert not policy.to_end([connection(1), connection(2), connection(3)], clock.now)


def test_those_without_a_call_go_first_then_those_idle_longest(activity: Activity, clock: Clock) -> None:
    policy = Policy(Limits(2, 10, 60, message_bytes=MEGABYTE, unfinished_bytes=MANY), activity)
    first, second, third, silent = (connection(number) for number in range(1, 5))
    policy.to_end([first, second], clock.now)
    for each in (second, third, first):
        clock.now += 1
        with activity.call(peer(each)):
            pass
    everybody = [first, second, third, silent]
    assert numbers(policy.to_end(everybody, clock.now)) == [(4, "too_many"), (2, "too_many")]


def test_a_connection_with_an_open_call_is_never_displaced(activity: Activity, clock: Clock) -> None:
    policy = Policy(Limits(1, 1, 60, message_bytes=MEGABYTE, unfinished_bytes=MANY), activity)
    busy, other, idle = connection(1), connection(2), connection(3)
    with activity.call(peer(busy)), activity.call(peer(other)):
        clock.now += 1000
        assert [each for each, _ in numbers(policy.to_end([busy, other, idle], clock.now))] == [3]
        assert not policy.to_end([busy, other], clock.now)


def test_the_address_with_most_connections_loses_them(activity: Activity, clock: Clock) -> None:
    policy = Policy(Limits(100, 1000, 60, message_bytes=MEGABYTE, unfinished_bytes=MANY), activity)
    quiet = [connection(number, "192.0.2.7") for number in range(40)]
    flood = [connection(number, "198.51.100.9") for number in range(100, 600)]
    ending = policy.to_end([*quiet, *flood], clock.now)
    assert Counter(each.client.address for each, _ in ending) == {"198.51.100.9": 440}


def test_one_address_may_hold_only_its_share_and_a_network_of_ipv6_counts_as_one(
    activity: Activity, clock: Clock
) -> None:
    policy = Policy(Limits(100, 10, 60, message_bytes=MEGABYTE, unfinished_bytes=MANY), activity)
    one = [connection(number, f"2001:db8:0:1::{number:x}") for number in range(1, 15)]
    others = [connection(number, f"2001:db8:0:{number:x}::1") for number in range(20, 40)]
    assert numbers(policy.to_end([*one, *others], clock.now)) == [
        (number, "too_many_of_address") for number in range(1, 5)
    ]


def test_an_idle_connection_is_ended_after_its_time(activity: Activity, clock: Clock) -> None:
    policy = Policy(Limits(10, 10, 60, message_bytes=MEGABYTE, unfinished_bytes=MANY), activity)
    used, unused = connection(1), connection(2)
    policy.to_end([used, unused], clock.now)
    clock.now += 50
    with activity.call(peer(used)):
        pass
    clock.now += 11
    assert numbers(policy.to_end([used, unused], clock.now)) == [(2, "idle")]
    clock.now += 50
    assert numbers(policy.to_end([used], clock.now)) == [(1, "idle")]


def test_bytes_that_bring_no_call_end_a_connection(activity: Activity, clock: Clock) -> None:
    policy = Policy(Limits(10, 10, 60, message_bytes=MEGABYTE, unfinished_bytes=MANY), activity)
    uploading, pinging = connection(1), connection(2)
    with activity.call(peer(uploading)):
        for received in (0, 200_000, 400_000, 600_000):
            uploading.received, pinging.received = 2 * received, received
            ending = policy.to_end([uploading, pinging], clock.now)
    assert numbers(ending) == [(2, "no_calls")]
    uploading.received += 200_000  # which were on their way when the call ended
    assert not policy.to_end([uploading], clock.now)
    clock.now += 2
    uploading.received += 200_000  # calls that the event loop has not seen yet
    assert not policy.to_end([uploading], clock.now)
    uploading.received += MEGABYTE
    assert numbers(policy.to_end([uploading], clock.now)) == [(1, "no_calls")]


def test_first_calls_that_the_event_loop_has_not_seen_do_not_end_a_connection(activity: Activity, clock: Clock) -> None:
    policy = Policy(Limits(10, 10, 60, message_bytes=MEGABYTE, unfinished_bytes=MANY), activity)
    new = connection(1, received=256 * 1024 + 64 * 1024)  # gRPC's window, and headers
    for _ in range(20):
        clock.now += 1
        assert not policy.to_end([new], clock.now)


def test_an_open_call_excuses_only_the_bytes_of_its_messages(activity: Activity, clock: Clock) -> None:
    policy = Policy(Limits(10, 10, 60, message_bytes=MEGABYTE, unfinished_bytes=MANY), activity)
    streaming, flooding = connection(1), connection(2)
    ending = []
    with activity.call(peer(flooding)), activity.call(peer(streaming)):
        for _ in range(5):
            clock.now += 1
            note_message()  # of the innermost call
            streaming.received += MEGABYTE
            flooding.received += MEGABYTE // 2
            ending.append(numbers(policy.to_end([streaming, flooding], clock.now)))
    assert ending == [[], [], [], [], [(2, "no_messages")]]


def test_thousands_of_cancelled_calls_end_a_connection_and_a_hundred_do_not(activity: Activity, clock: Clock) -> None:
    policy = Policy(Limits(10, 10, 60, message_bytes=MEGABYTE, unfinished_bytes=MANY), activity)
    resetting, impatient = connection(1), connection(2)
    policy.to_end([resetting, impatient], clock.now)
    for each, calls in ((resetting, 2000), (impatient, 100)):
        for _ in range(calls):
            with pytest.raises(asyncio.CancelledError), activity.call(peer(each)):
                raise asyncio.CancelledError
    clock.now += 0.25
    assert numbers(policy.to_end([resetting, impatient], clock.now)) == [(1, "cancelled_calls")]


@pytest.mark.parametrize(("per_look", "ended"), [(40, False), (100, True)])
def test_calls_cancelled_at_a_rate_count_over_many_looks(
    activity: Activity, clock: Clock, per_look: int, *, ended: bool
) -> None:
    policy = Policy(Limits(10, 10, 60, message_bytes=MEGABYTE, unfinished_bytes=MANY), activity)
    one, found = connection(1), list[Any]()
    for _ in range(20):
        found += numbers(policy.to_end([one], clock.now))
        for _ in range(per_look):
            with pytest.raises(asyncio.CancelledError), activity.call(peer(one)):
                raise asyncio.CancelledError
        clock.now += 0.1
    assert ((1, "cancelled_calls") in found) is ended


def test_oversized_metadata_ends_a_connection_at_the_next_look(activity: Activity, clock: Clock) -> None:
    policy = Policy(Limits(10, 10, 60, message_bytes=MEGABYTE, unfinished_bytes=MANY), activity)
    honest, greedy = connection(1), connection(2)
    assert numbers(policy.to_end([honest, greedy], clock.now)) == []
    with activity.call(peer(honest)):
        activity.note_oversized(peer(greedy))
        assert activity.misused.is_set()
        assert numbers(policy.to_end([honest, greedy], clock.now)) == [(2, "oversized_metadata")]


def test_the_connection_with_most_bytes_of_unread_messages_is_ended(activity: Activity, clock: Clock) -> None:
    policy = Policy(Limits(10, 10, 60, message_bytes=16 * MEGABYTE, unfinished_bytes=20 * MEGABYTE), activity)
    greedy, other, idle = connection(1), connection(2), connection(3)
    everybody = [greedy, other, idle]
    with ExitStack() as calls:
        for each in (greedy, greedy, other):
            calls.enter_context(activity.call(peer(each)))
        assert not policy.to_end(everybody, clock.now)
        greedy.received += 12 * MEGABYTE
        other.received += 7 * MEGABYTE
        assert not policy.to_end(everybody, clock.now)
        greedy.received += 2 * MEGABYTE
        assert numbers(policy.to_end(everybody, clock.now)) == [(1, "unfinished_messages")]
        assert not policy.to_end([other, idle], clock.now)


def test_messages_that_are_read_hold_nothing(activity: Activity, clock: Clock) -> None:
    policy = Policy(Limits(10, 10, 60, message_bytes=MEGABYTE, unfinished_bytes=MEGABYTE), activity)
    one, other = connection(1), connection(2)
    with activity.call(peer(one)), activity.call(peer(one)), activity.call(peer(other)):
        for _ in range(1000):
            other.received += 101_000  # with one percent of frames and TLS
            note_message(100_000)
            assert not policy.to_end([one, other], clock.now)
    one.received += 100 * MEGABYTE  # which came before the calls ended
    assert not policy.to_end([one, other], clock.now)


def test_headers_of_small_and_empty_messages_do_not_add_up(activity: Activity, clock: Clock) -> None:
    policy = Policy(Limits(10, 10, 60, message_bytes=MEGABYTE, unfinished_bytes=MEGABYTE // 2), activity)
    one, other = connection(1), connection(2)
    with activity.call(peer(one)):  # a stream that stays open, for example a health watch
        for size in (0, 100):
            for _ in range(1000):
                with activity.call(peer(one)):
                    note_message(size)
                    one.received += size + 3000  # a token and what a proxy adds
                assert not policy.to_end([one, other], clock.now)


def test_what_small_messages_may_have_more_is_not_saved_for_half_messages(activity: Activity, clock: Clock) -> None:
    policy = Policy(Limits(10, 10, 60, message_bytes=16 * MEGABYTE, unfinished_bytes=4 * MEGABYTE), activity)
    one = connection(1)
    with activity.call(peer(one)):
        for _ in range(10_000):
            note_message(0)
        assert not policy.to_end([one], clock.now)
        one.received += 6 * MEGABYTE
        assert numbers(policy.to_end([one], clock.now)) == [(1, "unfinished_messages")]


def test_the_network_with_most_bytes_of_unread_messages_loses_its_connections(activity: Activity, clock: Clock) -> None:
    policy = Policy(Limits(100, 100, 60, message_bytes=16 * MEGABYTE, unfinished_bytes=20 * MEGABYTE), activity)
    greedy = [connection(number, f"2001:db8::{number:x}") for number in range(1, 21)]
    uploading = connection(99, "192.0.2.1")
    with ExitStack() as calls:
        for each in (*greedy, uploading):
            calls.enter_context(activity.call(peer(each)))
        assert not policy.to_end([*greedy, uploading], clock.now)
        for each in greedy:
            each.received += MEGABYTE * 3 // 4
        uploading.received += 7 * MEGABYTE
        ending = numbers(policy.to_end([*greedy, uploading], clock.now))
        assert len(ending) == 3
        assert (99, "unfinished_messages") not in ending


def test_calls_that_wait_for_their_refusal_do_not_excuse_bytes(activity: Activity, clock: Clock) -> None:
    policy = Policy(Limits(10, 10, 60, message_bytes=MEGABYTE, unfinished_bytes=MANY), activity)
    stranger, found = connection(1), list[Any]()
    with ExitStack() as calls:
        for _ in range(20):
            clock.now += 0.25
            calls.enter_context(activity.call(peer(stranger)))
            note_refused()
            stranger.received += 200_000
            found += numbers(policy.to_end([stranger], clock.now))
    assert (1, "no_calls") in found


def test_bytes_of_calls_that_wait_for_their_refusal_are_held(activity: Activity, clock: Clock) -> None:
    policy = Policy(Limits(10, 10, 60, message_bytes=MEGABYTE, unfinished_bytes=MEGABYTE), activity)
    strangers = [connection(number) for number in range(1, 6)]
    with ExitStack() as calls:
        for each in strangers:
            calls.enter_context(activity.call(peer(each)))
            note_refused()
        assert not policy.to_end(strangers, clock.now)
        for each in strangers:
            each.received += 256 * 1024
        assert [reason for _, reason in policy.to_end(strangers, clock.now)] == ["unfinished_messages"]


def test_a_new_connection_from_an_old_port_starts_afresh(activity: Activity, clock: Clock) -> None:
    policy = Policy(Limits(10, 10, 60, message_bytes=MEGABYTE, unfinished_bytes=MANY), activity)
    first = connection(1)
    with activity.call(peer(first)):
        policy.to_end([first], clock.now)
    policy.to_end([], clock.now)
    assert activity.of(first.client).last == 0
    clock.now += 1000
    again = Connection(1, 99, first.client, 0)
    assert not policy.to_end([again], clock.now)

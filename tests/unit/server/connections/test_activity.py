"""The calls of each connection."""

from __future__ import annotations

import asyncio

import pytest

from facet.server.connections.activity import Activity, Calls, Endpoint, endpoint_of, note_message, note_refused
from tests.waiting import turns


@pytest.mark.parametrize(
    ("peer", "endpoint"),
    [
        ("ipv4:192.0.2.1:50000", Endpoint("192.0.2.1", 50000)),
        ("ipv6:%5B2001:db8::1%5D:50000", Endpoint("2001:db8::1", 50000)),
        ("ipv6:%5B::ffff:192.0.2.1%5D:50000", Endpoint("192.0.2.1", 50000)),
        ("ipv6:%5Bfe80::1%25eth0%5D:50000", Endpoint("fe80::1", 50000)),
        ("unix:/run/facet", None),
        ("ipv6:%5Bno:%5D:1", None),
        ("ipv4:192.0.2.1", None),
        ("", None),
    ],
)
def test_a_peer_of_grpc_is_the_endpoint_of_a_socket(peer: str, endpoint: Endpoint | None) -> None:
    assert endpoint_of(peer) == endpoint


def test_calls_are_counted_while_they_run() -> None:
    activity = Activity(lambda: 7.0)
    endpoint = Endpoint("192.0.2.1", 50000)
    with activity.call("ipv4:192.0.2.1:50000"):
        with activity.call("ipv4:192.0.2.1:50000"):
            assert activity.of(endpoint) == Calls(2, 7.0, 0, 2, begun=2)
        activity.forget(endpoint)  # its call is still open
        assert activity.of(endpoint).open == 1
    assert activity.of(endpoint) == Calls(0, 7.0, 0, 4, begun=2)
    activity.forget(endpoint)
    assert activity.of(endpoint) == Calls()


def test_messages_that_are_read_are_counted_with_their_bytes() -> None:
    activity = Activity(lambda: 7.0)
    with activity.call("ipv4:192.0.2.1:50000"):
        note_message(1000)
        note_message(500)
        note_message(0)
        note_message()  # one that was written
        calls = activity.of(Endpoint("192.0.2.1", 50000))
    assert (calls.messages, calls.bytes, calls.noted) == (3, 1500, 5)


async def test_messages_are_noted_for_the_call_of_their_task() -> None:
    activity = Activity()
    one, other = Endpoint("192.0.2.1", 1), Endpoint("192.0.2.1", 2)

    async def call(peer: str, messages: int) -> None:
        with activity.call(peer):
            for _ in range(messages):
                await turns(1)
                note_message()

    await asyncio.gather(call("ipv4:192.0.2.1:1", 5), call("ipv4:192.0.2.1:2", 3))
    note_message()  # of no call
    assert (activity.of(one).noted, activity.of(other).noted) == (7, 5)


def test_a_call_that_fails_is_not_one_that_was_cancelled() -> None:
    activity = Activity()
    endpoint = Endpoint("192.0.2.1", 50000)
    with pytest.raises(ValueError, match="refused"), activity.call("ipv4:192.0.2.1:50000"):
        raise ValueError("refused")
    assert activity.of(endpoint).cancelled == 0
    with pytest.raises(KeyboardInterrupt), activity.call("ipv4:192.0.2.1:50000"):
        raise KeyboardInterrupt
    assert activity.of(endpoint).cancelled == 1


def test_a_call_that_waits_for_its_refusal_keeps_no_connection() -> None:
    activity = Activity()
    endpoint = Endpoint("192.0.2.1", 50000)
    with activity.call("ipv4:192.0.2.1:50000"):
        with activity.call("ipv4:192.0.2.1:50000"):
            note_refused()
            activity.forget(endpoint)
            calls = activity.of(endpoint)
            assert (calls.open, calls.waiting) == (1, 1)
        calls = activity.of(endpoint)
        assert (calls.open, calls.waiting) == (1, 0)
    assert activity.of(endpoint).open == 0
    note_refused()  # of no call


def test_what_is_remembered_of_connections_that_are_gone_is_bounded() -> None:
    activity = Activity()
    with activity.call("ipv4:192.0.2.1:1"):
        for port in range(60_000):
            with activity.call(f"ipv4:192.0.2.2:{port}"):
                pass
        assert activity.of(Endpoint("192.0.2.1", 1)).open == 1
        remembered = sum(activity.of(Endpoint("192.0.2.2", port)).last > 0 for port in range(60_000))
    assert 10_000 < remembered < 20_000

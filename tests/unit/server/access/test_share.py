"""Whose share of the workers a call takes, and from which address it comes."""

from __future__ import annotations

import asyncio

import pytest

from facet.server.access import share


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ipv4:192.0.2.1:50000", "ipv4:192.0.2.1:50001"),
        ("ipv6:%5B2001:db8::1%5D:50000", "ipv6:%5B2001:db8::2%5D:50001"),
        ("ipv4:192.0.2.1:50000", "ipv6:%5B::ffff:192.0.2.1%5D:50000"),
        ("ipv4:127.0.0.2:50000", "ipv4:127.0.0.2:50001"),
        ("ipv6:%5Bfe80::1%25eth0%5D:50000", "ipv6:%5Bfe80::2%25eth0%5D:50000"),
    ],
)
def test_connections_from_one_address_or_network_are_one_caller(one: str, other: str) -> None:
    assert share.of_peer(one) == share.of_peer(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ipv4:192.0.2.1:50000", "ipv4:192.0.2.2:50000"),
        ("ipv6:%5B2001:db8:0:1::1%5D:50000", "ipv6:%5B2001:db8:0:2::1%5D:50000"),
        ("ipv4:127.0.0.1:50000", "ipv4:127.0.0.1:50001"),
        ("ipv6:%5B::1%5D:50000", "ipv6:%5B::1%5D:50001"),
        ("ipv6:%5B::ffff:127.0.0.1%5D:50000", "ipv6:%5B::ffff:127.0.0.1%5D:50001"),
        ("unix:/a", "unix:/b"),
        ("", "ipv4:"),
    ],
)
def test_other_addresses_and_other_connections_on_loopback_are_other_callers(one: str, other: str) -> None:
    assert share.of_peer(one) != share.of_peer(other)


def test_a_site_is_one_address_or_network_and_this_machine_is_one() -> None:
    one = ("ipv4:127.0.0.1:50000", "ipv4:127.0.0.1:50001", "ipv4:127.3.2.1:50000", "ipv6:%5B::1%5D:50000", "unix:/a")
    assert len({share.site_of(peer) for peer in one}) == 1
    assert share.site_of("ipv4:192.0.2.1:50000") == share.site_of("ipv4:192.0.2.1:50001") == "192.0.2.1"
    assert share.site_of("ipv4:192.0.2.1:50000") != share.site_of("ipv4:192.0.2.2:50000")


def test_a_task_of_a_call_has_its_caller_and_others_have_none() -> None:
    async def call() -> str:
        share.enter("ipv4:192.0.2.1:50000")
        return await asyncio.ensure_future(child())

    async def child() -> str:
        return share.current()

    async def both() -> tuple[str, str]:
        return await asyncio.ensure_future(call()), share.current()

    assert asyncio.run(both()) == ("192.0.2.1", "")

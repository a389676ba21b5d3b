"""What status computes from the answers of a server."""

from __future__ import annotations

import pytest

from facet.cli.status.plain import as_plain
from facet.cli.status.server_status import Status, Throughput, throughput
from facet.cli.status.tables import duration, rendered
from facet.terminal import console
from facet.v1 import server_service_pb2 as pb


def test_throughput_is_per_second_and_leaves_out_the_calls_of_status_itself() -> None:
    info = pb.GetServerInfoResponse()
    for method, count in (("Identify", 100), ("IdentifyStream", 15), ("GetServerInfo", 30), ("ListGalleries", 30)):
        info.method_latencies.add(method=method).last_minute.count = count
    for code, count in (("RESOURCE_EXHAUSTED", 20), ("UNAVAILABLE", 3), ("INVALID_ARGUMENT", 40), ("INTERNAL", 6)):
        info.errors.add(code=code, reason=code, since_start=99, last_minute=count)
    assert throughput(info, uptime=3600.0) == Throughput(2.0, 0.4, 0.8)
    assert throughput(info, uptime=23.0) == Throughput(5.0, 1.0, 2.0), "over its uptime if that is shorter"


@pytest.mark.parametrize(
    ("code", "reason", "is_refusal"),
    [
        ("RESOURCE_EXHAUSTED", "QUEUE_FULL", True),
        ("RESOURCE_EXHAUSTED", "DEADLINE_TOO_SHORT", True),
        ("RESOURCE_EXHAUSTED", "TOO_MANY_CALLS", True),
        ("RESOURCE_EXHAUSTED", "TOO_MANY_BYTES", True),
        ("RESOURCE_EXHAUSTED", "OUT_OF_RESOURCES", True),
        ("RESOURCE_EXHAUSTED", "TOO_MANY_TRANSFERS", True),
        ("RESOURCE_EXHAUSTED", "CALIBRATION_UNDER_WAY", True),
        ("UNAVAILABLE", "SHUTTING_DOWN", True),
        ("UNAVAILABLE", "", True),
        ("UNAVAILABLE", "STORAGE_UNAVAILABLE", False),
        ("RESOURCE_EXHAUSTED", "STORAGE_FULL", False),
        ("RESOURCE_EXHAUSTED", "IMPORT_TOO_LARGE", False),
        ("INVALID_ARGUMENT", "MESSAGE_TOO_COMPLEX", False),
        ("DEADLINE_EXCEEDED", "REQUEST_NOT_RECEIVED", False),
        ("INTERNAL", "", False),
    ],
)
def test_only_a_lack_of_room_is_a_refusal(code: str, reason: str, is_refusal: bool) -> None:
    info = pb.GetServerInfoResponse()
    info.errors.add(code=code, reason=reason, last_minute=23)
    expected = Throughput(0.0, 1.0, 0.0) if is_refusal else Throughput(0.0, 0.0, 1.0)
    assert throughput(info, uptime=23.0) == expected


def test_a_server_that_cannot_list_its_galleries_is_still_described() -> None:
    status = Status("SERVING", pb.GetServerInfoResponse(version="1"), problem="the database cannot be used now")
    plain = as_plain(status, "host:1")
    assert (plain["health"], plain["galleries"], plain["errors"]) == ("SERVING", None, [])
    with console.out.capture() as said:
        console.out.print(rendered(status, "host:1"))
    assert "not known: the database cannot be used now" in said.get()


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (65, "1 min 5 s"), (3600, "1 h 0 min"), (90_000, "1 d 1 h")])
def test_a_duration_is_written_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text

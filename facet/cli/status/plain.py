"""A server's status as JSON values."""

from __future__ import annotations

from typing import Any

from facet.cli.status.server_status import (
    Galleries,
    Status,
    throughput,
)
from facet.terminal.rendering import as_dict
from facet.v1 import server_service_pb2 as pb


def as_plain(status: Status, address: str) -> dict[str, Any]:
    """Convert a status to JSON values."""
    plain: dict[str, Any] = {"address": address, "health": status.health}
    if status.problem:
        plain["problem"] = status.problem
    if (info := status.info) is None:
        return plain
    rates = throughput(info, status.uptime)
    return plain | {
        "version": info.version,
        "caller": as_dict(info.caller),
        "uptime_s": round(status.uptime, 1),
        "models": [
            {
                "role": model.role,
                "name": model.name,
                "head": model.head,
                "runtime": model.runtime,
                "sha256": model.sha256,
            }
            for model in info.models
        ],
        "embedding_models": [as_dict(model) for model in info.embedding_models],
        "embedding_next_problem": info.embedding_next_problem,
        "runtime": dict(info.runtime),
        "queue": {
            "waiting": info.queue.waiting,
            "max_waiting": info.queue.max_waiting,
            "busy": info.queue.busy,
            "workers": info.queue.workers,
        },
        "requests_per_s": {
            "answered": round(rates.answered, 2),
            "refused": round(rates.refused, 2),
            "failed": round(rates.failed, 2),
        },
        "errors": [
            {
                "code": each.code,
                "reason": each.reason,
                "since_start": each.since_start,
                "last_minute": each.last_minute,
            }
            for each in info.errors
        ],
        "open_streams": dict(info.open_streams),
        "galleries": None if status.galleries is None else _plain_galleries(status.galleries),
        "stages": {latency.stage: _plain(latency) for latency in info.stage_latencies},
        "methods": {latency.method: _plain(latency) for latency in info.method_latencies},
    }


def _plain_galleries(galleries: Galleries) -> dict[str, Any]:
    return {
        "count": galleries.count,
        "largest": [
            {
                "gallery_id": each.gallery_id,
                "subjects": each.subject_count,
                "templates": each.template_count,
                "threshold": round(each.threshold, 4),
                "problem": each.problem,
            }
            for each in galleries.largest
        ],
    }


def _rounded(milliseconds: float) -> float:
    """Drop digits beyond the server's accuracy of 1 %."""
    return float(f"{milliseconds:.3g}")


def _plain(latency: pb.StageLatency | pb.MethodLatency) -> dict[str, Any]:
    return {
        period: {
            "count": of.count,
            "p50_ms": _rounded(of.p50_ms),
            "p95_ms": _rounded(of.p95_ms),
            "p99_ms": _rounded(of.p99_ms),
        }
        for period, of in (("since_start", latency.since_start), ("last_minute", latency.last_minute))
    }

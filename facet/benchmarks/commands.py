"""The command ``facet bench``: which benchmarks there are, and where they are."""

from __future__ import annotations

import typer

from facet.terminal.lazy import Lazy, lazy_group

COMMANDS = (
    Lazy("serving", "facet.benchmarks.serving.serving:serving", "The server beside InsightFace, in one run."),
    Lazy("stream", "facet.benchmarks.streams.stream:stream", "How many cameras a server bears."),
    Lazy("wire", "facet.benchmarks.wire:wire", "What gRPC adds to a call."),
    Lazy("roof", "facet.benchmarks.roofline.roofline:roof", "The models' arithmetic against the machine's."),
    Lazy("drift", "facet.benchmarks.drift:drift", "How far the serving runtime is from float32."),
    Lazy("gallery", "facet.benchmarks.galleries.gallery:gallery", "A large gallery: speed, agreement, memory."),
    Lazy("milvus", "facet.benchmarks.galleries.milvus:milvus", "The same in a Milvus."),
    Lazy("calibration", "facet.benchmarks.galleries.calibration:calibration", "Whether thresholds keep their promise."),
    Lazy("ranking", "facet.benchmarks.galleries.ranking:ranking", "Whether a learned ranking would do better."),
)

app = typer.Typer(cls=lazy_group(COMMANDS), add_completion=False, rich_markup_mode="rich", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Measure speed, memory and drift on this machine.

    With [b]--json[/b] every command prints one JSON object.

    Exit code: 0 done, 1 failed, 2 bad usage.
    """

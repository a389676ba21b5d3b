"""The command ``facet bench``: which benchmarks there are, and where they are."""

from __future__ import annotations

import typer

from facet.terminal.command_line.lazy import Lazy, lazy_group

_SERVER, _MODELS, _GALLERIES = "Server", "Models", "Galleries"

COMMANDS = (
    Lazy("serving", "facet.benchmarks.serving.serving:serving", "Compare the server with InsightFace.", _SERVER),
    Lazy("stream", "facet.benchmarks.streams.stream:stream", "Measure a server under several cameras.", _SERVER),
    Lazy("photos", "facet.benchmarks.photos.photos:photos", "Measure large photos, decoded fully or reduced.", _SERVER),
    Lazy(
        *("replacement", "facet.benchmarks.streams.replacement:replacement"),
        *("Test whether a name stays with its person in a stream.", _SERVER),
    ),
    Lazy("strangers", "facet.benchmarks.streams.strangers:strangers", "Count strangers that streams name.", _SERVER),
    Lazy(
        *("impostors", "facet.benchmarks.streams.impostors:impostors"),
        *("Measure how similar strangers are to galleries.", _SERVER),
    ),
    Lazy("wire", "facet.benchmarks.wire:wire", "Measure the time that gRPC adds to a call.", _SERVER),
    Lazy(
        *("ceiling", "facet.benchmarks.serving.ceiling.ceiling:ceiling"),
        *("Measure how many requests one server process can feed.", _SERVER),
    ),
    Lazy("hostile", "facet.benchmarks.hostile.hostile:hostile", "Attack a server while clients measure it.", _SERVER),
    Lazy("soak", "facet.benchmarks.soak.soak:soak", "Watch a server under a long load of every kind.", _SERVER),
    Lazy("trust", "facet.benchmarks.trust.trust:trust", "Measure what TLS, keys, encryption and audit cost.", _SERVER),
    Lazy("roof", "facet.benchmarks.roofline.roofline:roof", "Compare models with the hardware's limit.", _MODELS),
    Lazy("drift", "facet.benchmarks.drift:drift", "Compare the serving runtime with float32.", _MODELS),
    Lazy("gallery", "facet.benchmarks.galleries.gallery:gallery", "Compare a large gallery with FAISS.", _GALLERIES),
    Lazy(
        "milvus", "facet.benchmarks.galleries.milvus.milvus:milvus", "Measure a gallery stored in Milvus.", _GALLERIES
    ),
    Lazy(
        *("postgres", "facet.benchmarks.galleries.postgres.postgres:postgres"),
        *("Measure a gallery that two servers share in PostgreSQL.", _GALLERIES),
    ),
    Lazy(
        *(
            "postgres-failures",
            "facet.benchmarks.galleries.postgres.failures.postgres_failures:postgres_failures",
            "Kill servers and their PostgreSQL while clients enrol.",
        ),
        _GALLERIES,
    ),
    Lazy(
        *("pgvector", "facet.benchmarks.galleries.pgvector.pgvector:pgvector"),
        *("Compare Facet's index with pgvector.", _GALLERIES),
    ),
    Lazy(
        *("calibration", "facet.benchmarks.galleries.calibration.calibration:calibration"),
        *("Test whether thresholds keep their target FPIR.", _GALLERIES),
    ),
    Lazy(
        *("duplicates", "facet.benchmarks.galleries.duplicates.duplicates:duplicates"),
        *("Test whether people who are enrolled twice are found.", _GALLERIES),
    ),
    Lazy(
        *("twins", "facet.benchmarks.galleries.twins.twins:twins"),
        *("Measure how often people who look alike are confused.", _GALLERIES),
    ),
    Lazy(
        *("online", "facet.benchmarks.online.online:online"),
        *("Test errors estimated without labels, and drift alarms.", _GALLERIES),
    ),
    Lazy(
        *("migration", "facet.benchmarks.migration.migration:migration"),
        *("Migrate a gallery to another model and back, under load.", _GALLERIES),
    ),
    Lazy(
        *("ranking", "facet.benchmarks.galleries.ranking:ranking"),
        *("Test whether a learned ranking beats the similarity.", _GALLERIES),
    ),
)

app = typer.Typer(cls=lazy_group(COMMANDS), add_completion=False, rich_markup_mode="rich", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Measure speed, memory and drift on this machine. docs/performance.md has results and explains them.

    Whatever is compared runs in the same command, in alternation, so that changes in the machine's speed affect all of
    it. Rely on ratios rather than on single times, and stop other programs first. With [b]--json[/b] every command
    prints one JSON object.

    [b]Examples[/b]

      facet bench serving
      facet bench stream --cameras 8 --fps 5 --width 640
      facet bench gallery --templates 1000000
      facet bench roof --json

    Exit code: 0 done, 1 failed, 2 bad usage.
    """

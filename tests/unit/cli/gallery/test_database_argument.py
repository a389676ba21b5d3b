"""Commands on the file of a database refuse the address of a PostgreSQL, and say what does the same there."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from facet.cli.app import app

URL = "postgresql://facet:hidden@db.example.org/facet"


@pytest.mark.parametrize(
    "words",
    [
        ("backup", URL, "monday.sqlite3"),
        ("restore", "monday.sqlite3", URL),
        ("verify", URL),
        ("compact", URL),
        ("encryption", "status", URL),
    ],
    ids=lambda words: words[0],
)
def test_an_address_is_refused_without_its_password(words: tuple[str, ...]) -> None:
    refused = CliRunner().invoke(app, ["gallery", *words])
    assert refused.exit_code == 2
    assert "pg_dump" in refused.output
    assert "hidden" not in refused.output

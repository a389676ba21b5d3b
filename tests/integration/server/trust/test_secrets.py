"""Where the secret of a caller may be read by somebody else: nowhere, and that of a stranger neither."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import Client, FacetError

if TYPE_CHECKING:
    from tests.integration.server.trust.conftest import Guarded

STRANGE = "nearly-the-right-one-4711"
"""The secret of a stranger: it may be a right one with a typing error."""


@pytest.fixture(scope="module")
def told(guarded: Guarded) -> dict[str, str]:
    """What can be read of the server after calls of a caller and of a stranger."""
    secret = guarded.right("recognize").removeprefix("Bearer ")
    texts: dict[str, str] = {}
    with Client(guarded.address, token=secret) as client:
        texts["server info"] = str(client.get_server_info())
        with pytest.raises(FacetError) as refused:
            client.get_gallery("nowhere")
        texts["answer to a caller"] = repr(refused.value) + str(refused.value.args)
    with Client(guarded.address, token=STRANGE) as stranger, pytest.raises(FacetError) as unknown:
        stranger.get_server_info()
    texts["answer to a stranger"] = repr(unknown.value) + str(unknown.value.args)
    with urllib.request.urlopen(f"http://{guarded.serving.said['metrics_address']}/metrics", timeout=30) as page:
        texts["metrics"] = page.read().decode()
    process = Path("/proc") / str(guarded.serving.process.pid)
    texts["list of processes"] = (process / "cmdline").read_text("utf-8")
    texts["what it said at start"] = str(guarded.serving.said)
    texts["log at level debug"] = guarded.serving.log.read_text("utf-8")
    return texts


def test_secrets_are_in_nothing_that_others_read(guarded: Guarded, told: dict[str, str]) -> None:
    secrets = [guarded.right("recognize").removeprefix("Bearer ").rpartition("_")[2], STRANGE]
    assert [place for place, text in told.items() if any(secret in text for secret in secrets)] == []


def test_the_log_tells_of_a_stranger_that_it_was_one(told: dict[str, str]) -> None:
    assert '"reason": "UNAUTHENTICATED"' in told["log at level debug"]

"""One server for all tests of this folder, and callers of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Serving, Start

TOKEN = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Guarded:
    """A server that needs a caller.

    Attributes:
        serving: the server.
        folder: of its database.
    """

    serving: Serving
    folder: Path

    @property
    def address(self) -> str:
        return self.serving.address

    def right(self, scope: str) -> str:
        """The authorization of a caller with this scope alone."""
        return f"Bearer {TOKEN}"

    def strangers(self) -> dict[str, list[str]]:
        """Values of the header authorization that belong to nobody, by what is wrong with them."""
        right = self.right("admin")
        secret = right.removeprefix("Bearer ")
        return {
            "none": [],
            "empty": [""],
            "no scheme": [secret],
            "another scheme": [f"Basic {secret}"],
            "no secret": ["Bearer "],
            "truncated": [right[:-1]],
            "one character more": [right + "a"],
            "wrong last character": [right[:-1] + ("a" if right[-1] != "a" else "b")],
            "wrong first character": ["Bearer " + ("a" if secret[0] != "a" else "b") + secret[1:]],
            "upper case": [f"Bearer {secret.swapcase()}"],
            "doubled header": [right, right],
            "two values": [f"{right}, {right}"],
            "doubled with a wrong one": ["Bearer wrong", right],
            "long": ["Bearer " + "a" * 4000],
        }


@pytest.fixture(scope="session")
def guarded(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    flags = ("--models.objects", "none", "--log.level", "debug", "--metrics.port", "0")
    serving = start(folder, *flags, environment={"FACET_SERVER__TOKEN": TOKEN})
    yield Guarded(serving, folder)
    serving.stop()

"""What becomes of identifications that are chosen for a comparison of two models, when nobody can make it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from facet.server.scheduling.work import Work
from facet.server.scheduling.workers import Workers
from facet.server.shadow import shadow
from facet.server.shadow.shadow import MAX_WAITING_FACES, Searched, Shadow
from facet.server.shadow.tally import ShadowTally
from gallery.galleries import Galleries
from gallery.migration.shadowing import ModelRoles
from gallery.records.migrations import ModelVersion
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.unit.server.monitoring.samples import MATCH, aligned_face
from tests.waiting import turns, until_in_loop

OLD = ModelVersion("old-contract", "old", "0" * 64, 32)
NEW = ModelVersion("new-contract", "new", "f" * 64, 16)
NO_MODELS = cast("Any", None)
"""A pipeline that fails as soon as it is used."""


@pytest.fixture
def galleries(tmp_path: Path) -> Iterator[Galleries]:
    """The gallery "g", half of whose identifications are compared."""
    made = Galleries(
        SqliteStore(tmp_path / "facet.db"),
        contract=OLD.contract,
        dimension=OLD.dimension,
        max_templates_per_subject=5,
        further={NEW.contract: NEW.dimension},
    )
    made.migrations.models = (OLD, NEW)
    made.create_gallery("g", display_name="")
    made.migrations.start("g", "new")
    made.migrations.update("g", shadow_share=0.5)
    yield made
    made.close()


class Held:
    """A shadow whose only worker is busy until :meth:`release`."""

    def __init__(self, galleries: Galleries) -> None:
        self.drawn = 0.0
        self.shadow = Shadow(NO_MODELS, galleries, keep_crops=True, draw=lambda: self.drawn)
        self.workers = Workers(threads=1, max_queue=1)
        self._gate = threading.Event()
        self._busy: asyncio.Future[bool] = asyncio.ensure_future(self.workers.run(Work(), self._gate.wait))

    async def answer(self, faces: int) -> Searched | None:
        """Identify a picture, as the servicer does; whether it was chosen."""
        work, answering = Work(), asyncio.ensure_future(asyncio.sleep(0))
        with work.stage("embed"):
            chosen = self.shadow.choose("g", answering, work, distinct_subjects=False)
        if chosen is not None and faces:  # without a face there is no search
            chosen(OLD.contract, [aligned_face()] * faces, [MATCH] * faces)
        await answering
        await turns()
        return chosen

    async def release(self) -> None:
        self._gate.set()
        await self._busy

    def dropped(self) -> dict[str, float]:
        (_, dropped) = self.shadow.collect()
        return {sample.labels["why"]: sample.value for sample in dropped.samples}

    def reported(self) -> int:
        def count(_roles: ModelRoles, tally: ShadowTally | None, _display_names: Mapping[str, str]) -> int:
            return 0 if tally is None else tally.dropped

        return self.shadow.report("g", count, reset=False)


@pytest.fixture
async def held(galleries: Galleries) -> AsyncIterator[Held]:
    made = Held(galleries)
    made.shadow.start(made.workers)
    yield made
    await made.release()
    await made.shadow.stop()
    made.workers.close()


async def test_chance_decides_which_identifications_are_compared(held: Held, galleries: Galleries) -> None:
    for held.drawn, is_chosen in ((0.0, True), (0.499, True), (0.5, False), (0.999, False)):
        assert (await held.answer(1) is not None) == is_chosen
    galleries.migrations.update("g", shadow_share=0.0)
    held.drawn = 0.0
    assert await held.answer(1) is None


async def test_what_does_not_fit_is_dropped_and_counted(held: Held) -> None:
    assert await held.answer(1) is not None
    await until_in_loop(lambda: sum(held.workers.waiting.values()) == 1)  # it waits for the worker
    assert await held.answer(MAX_WAITING_FACES - 1) is not None
    assert held.reported() == 0
    assert await held.answer(2) is not None
    assert await held.answer(0) is not None
    assert (held.reported(), held.dropped()["busy"]) == (1, 1)
    assert await held.answer(1) is not None
    assert (held.reported(), held.dropped()["busy"]) == (1, 1), "one face fits"


async def test_a_comparison_that_fails_is_counted_and_the_next_one_is_made(held: Held) -> None:
    for _ in range(2):
        assert await held.answer(1) is not None
    await held.release()
    await until_in_loop(lambda: held.dropped()["failed"] == 2)
    assert held.reported() == 2


async def test_what_waits_for_too_long_is_dropped(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow, "MAX_AGE", 0.0)
    assert await held.answer(1) is not None
    await until_in_loop(lambda: held.dropped()["late"] == 1)
    assert held.reported() == 1


async def test_what_waits_is_forgotten_with_its_subject_and_with_the_roles_of_the_models(
    held: Held, galleries: Galleries
) -> None:
    assert await held.answer(1) is not None
    await until_in_loop(lambda: sum(held.workers.waiting.values()) == 1)
    assert await held.answer(MAX_WAITING_FACES) is not None
    galleries.migrations.update("g", threshold=0.75)
    assert await held.answer(MAX_WAITING_FACES) is not None
    assert held.dropped()["busy"] == 0, "the faces that were to be compared by the old threshold are gone"
    galleries.migrations.cancel("g")
    await held.release()
    await until_in_loop(lambda: sum(held.workers.waiting.values()) == 0)
    assert held.dropped() == {"busy": 0, "late": 0, "failed": 0}

"""A database that is closed while its background thread is about to work."""

from __future__ import annotations

import threading
from pathlib import Path

from gallery.stores.sqlite.file.database import SqliteDatabase

PATIENCE = 60.0


class ClearedLate(threading.Event):
    """Is cleared only after the closing thread has set it, as an unlucky schedule does it."""

    def __init__(self, closing: threading.Event) -> None:
        super().__init__()
        self._is_closing = closing
        self._was_set = threading.Event()
        self.clearing = threading.Event()

    def set(self) -> None:
        super().set()
        if self._is_closing.is_set():
            self._was_set.set()

    def clear(self) -> None:
        self.clearing.set()
        self._was_set.wait(PATIENCE)
        super().clear()


def test_closing_ends_a_background_thread_that_has_just_woken_up(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "facet.db")
    database.erase_traces(patience=PATIENCE)
    before, late = database._written, ClearedLate(database._closing)
    database._written = late
    late.set()
    before.set()
    assert late.clearing.wait(PATIENCE)
    closing = threading.Thread(target=database.close, daemon=True)
    closing.start()
    closing.join(PATIENCE)
    assert not closing.is_alive()

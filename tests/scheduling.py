"""Which tests run together where several processes run tests (pytest-xdist)."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

STORES = "tests/integration/gallery/stores/"


class FileScheduling(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """One process runs all tests of a file, because they share fixtures, and all tests of the stores.

    A machine can run one Milvus server only: two of them would use the same ports.
    """

    def _split_scope(self, nodeid: str) -> str:
        return STORES if nodeid.startswith(STORES) else str(super()._split_scope(nodeid))

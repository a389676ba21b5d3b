"""What is uploaded lies on the disk encrypted, and can be read anywhere."""

from __future__ import annotations

import io
import os
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from facet.server.services.transfer.spool_file import SpoolFile

CONTENTS = random.Random(1).randbytes(1 << 16) + b"Ada Lovelace" * 1000


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[SpoolFile]:
    """A file with the contents, written in pieces of many sizes."""
    with closing(SpoolFile(tmp_path)) as file:
        source, sizes = io.BytesIO(CONTENTS), random.Random(2)
        while piece := source.read(sizes.randint(1, 5000)):
            assert file.write(piece) == len(piece)
        yield file


def test_every_part_can_be_read(spool: SpoolFile) -> None:
    plain, choices = io.BytesIO(CONTENTS), random.Random(3)
    for _ in range(200):
        where = choices.randrange(len(CONTENTS) + 10), os.SEEK_SET
        if choices.random() < 0.3:
            where = -choices.randrange(len(CONTENTS)), os.SEEK_END
        size = choices.choice([0, 1, 15, 16, 17, 4096])
        assert spool.seek(*where) == plain.seek(*where)
        assert spool.read(size) == plain.read(size)
        assert spool.tell() == plain.tell()
    spool.seek(0)
    assert spool.read() == CONTENTS
    with pytest.raises(ValueError, match="no position"):
        spool.seek(-1)


def test_what_is_on_the_disk_has_no_name_and_is_encrypted(spool: SpoolFile, tmp_path: Path) -> None:
    assert not list(tmp_path.iterdir())
    on_disk = os.pread(spool._file.fileno(), len(CONTENTS), 0)
    assert len(on_disk) == len(CONTENTS)
    assert b"Ada Lovelace" not in on_disk
    assert CONTENTS[:16] not in on_disk

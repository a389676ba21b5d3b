"""Master keys for tests of encryption."""

from __future__ import annotations

import pytest

from gallery.encryption.master_keys import KeyFile, MasterKeys


@pytest.fixture
def masters(key_file: KeyFile) -> MasterKeys:
    """The key of that file."""
    return key_file.read()

"""The window of facet camera --show, on a virtual screen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from facet.camera.errors import OutputError
from facet.camera.window import Window

PICTURE = np.full((60, 80, 3), (200, 100, 0), np.uint8)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A virtual screen; it chooses a free number and says so when it is ready."""
    pytest.importorskip("tkinter", reason="this Python has no Tk")
    if shutil.which("Xvfb") is None:
        pytest.skip("needs Xvfb")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "640x480x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL) as server:
        os.close(write)
        with os.fdopen(read) as told:
            monkeypatch.setenv("DISPLAY", f":{told.readline().strip()}")
        yield
        server.terminate()


@pytest.mark.skipif(sys.platform != "linux", reason="the screen is found by DISPLAY on Linux only")
def test_a_window_without_a_screen_is_refused_with_an_alternative(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tkinter", reason="this Python has no Tk")
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(OutputError, match=r"needs a screen.*--out"):
        Window("door")


def test_a_window_shows_pictures_until_it_is_closed(screen: None) -> None:
    window = Window("door")
    assert window.show(PICTURE)
    assert window.show(PICTURE)
    window.close()
    assert not window.show(PICTURE)
    window.close()

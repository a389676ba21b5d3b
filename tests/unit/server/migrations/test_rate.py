"""How fast embeddings are made is told by any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from facet.server.migrations.rate import Rate


class Clock:
    """Seconds that a test sets; in the middle of one reading, another thread does something."""

    seconds = 0.0
    meanwhile: Callable[[], object] | None = None

    def __call__(self) -> float:
        """Tell the time."""
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            thread = threading.Thread(target=meanwhile)
            thread.start()
            thread.join()
        return self.seconds


def test_the_rate_is_that_of_the_last_minute() -> None:
    clock = Clock()
    rate = Rate(clock)
    assert rate.per_second() == 0
    clock.seconds = 10.0
    rate.note(20, 10.0)
    assert rate.per_second() == 2
    clock.seconds = 40.0
    rate.note(40, 10.0)
    assert rate.per_second() == 60 / 40
    clock.seconds = 71.0
    assert rate.per_second() == 40 / 41
    clock.seconds = 200.0
    assert rate.per_second() == 0


@pytest.mark.parametrize("seconds", [10.0, 100.0])
@pytest.mark.parametrize("meanwhile", [Rate.per_second, lambda rate: rate.note(5, 1.0)], ids=["read", "note"])
def test_another_thread_may_use_it_while_it_is_read(seconds: float, meanwhile: Callable[[Rate], object]) -> None:
    clock = Clock()
    rate = Rate(clock)
    rate.note(5, 1.0)
    clock.seconds = seconds  # recent, or to be forgotten
    clock.meanwhile = lambda: meanwhile(rate)
    assert rate.per_second() >= 0
    assert clock.meanwhile is None

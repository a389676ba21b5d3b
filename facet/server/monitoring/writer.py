"""Stores what was counted, every minute or so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta

import structlog
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from facet.server.config import MonitoringConfig
from facet.server.monitoring.recorder import Recorder, Unstored
from gallery.errors import StorageError
from gallery.estimation.observation_history import ObservationHistory
from gallery.observations.records import DAY, Observation
from gallery.times import Clock, now

_log = structlog.get_logger("facet.monitoring")


class ObservationWriter(Collector):
    """Stores observations at an interval and at the end. If the process dies, those of the last interval are lost.

    While the store fails, what was counted waits in memory, up to a limit, and the server goes on.

    Args:
        recorder: counts.
        history: where observations are stored.
        config: how often they are stored, and for how long.
        clock: tells what is old.

    Attributes:
        on_taken: told what was counted since the last time, after it was stored; more can be added.
    """

    def __init__(
        self, recorder: Recorder, history: ObservationHistory, config: MonitoringConfig, clock: Clock = now
    ) -> None:
        self._recorder = recorder
        self._history = history
        self._config = config
        self._clock = clock
        self._unstored = Unstored()
        self._failures = 0
        self._tidied_at: float | None = None
        self._writing = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observations", daemon=True)
        self.on_taken: list[Callable[[Sequence[Observation]], None]] = []

    def start(self) -> None:
        """Begin to store."""
        if self._config.record:
            self._thread.start()

    def close(self) -> None:
        """Store what was counted until now, and end."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self.write()

    def write(self) -> None:
        """Store what was counted until now; what cannot be stored waits."""
        with self._writing:
            taken = self._recorder.take()
            lost = self._unstored.lost
            self._unstored.add(taken)
            if self._unstored.lost > lost:
                _log.error("observations are lost: too many wait to be stored", count=self._unstored.lost - lost)
            try:
                self._unstored.store(self._history.add, at_once=self._history.log.at_once)
            except StorageError as error:
                self._failures += 1
                _log.warning("cannot store observations", error=str(error))
            with suppress(StorageError):
                taken = self._history.without_predecessors(taken)
            for told in self.on_taken if taken else ():
                try:
                    told(taken)
                except Exception:  # a bug must not end the recording
                    _log.exception("watching observations failed")

    def collect(self) -> Iterable[Metric]:
        """Collect the metrics."""
        yield CounterMetricFamily(
            "facet_observation_failures", "Attempts to store observations that failed.", self._failures
        )
        yield CounterMetricFamily(
            "facet_observations_lost", "Observations that were dropped before they were stored.", self._unstored.lost
        )
        yield CounterMetricFamily(
            "facet_observations_in_other",
            "Pictures and frames that were counted with other cameras and callers.",
            self._recorder.in_other,
        )

    def _run(self) -> None:
        while not self._stopping.wait(self._config.flush_seconds):
            try:
                self.write()
                self._tidy()
            except Exception:  # a bug must not end the recording
                self._failures += 1
                _log.exception("recording failed")

    def _tidy(self) -> None:
        """Make days of old hours, and drop what is too old, once a day."""
        moment = time.monotonic()
        if self._tidied_at is not None and moment - self._tidied_at < DAY.total_seconds():
            return
        self._tidied_at = moment
        today = self._clock()
        try:
            self._history.tidy(
                days_before=today - timedelta(days=self._config.keep_hours_days),
                keep_since=today - timedelta(days=self._config.keep_days),
            )
        except StorageError as error:
            _log.warning("cannot tidy observations", error=str(error))

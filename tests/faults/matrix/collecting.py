"""A pytest plugin that collects what the tests of faults promise and what they saw."""

from __future__ import annotations

import pytest

from tests.faults.promises import SEEN, Promise, promise_of


class Matrix:
    """The rows of the tests that were collected, in their order.

    Attributes:
        rows: what was seen, by promise.
        failed: tests that did not pass.
    """

    def __init__(self) -> None:
        self.rows: dict[Promise, list[str]] = {}
        self.failed: list[str] = []
        self._promises: dict[str, Promise] = {}

    @pytest.hookimpl(tryfirst=True)  # before -k takes tests away
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note the promises of the tests."""
        for item in items:
            if promise := promise_of(item):
                self._promises[item.nodeid] = promise
                self.rows.setdefault(promise, [])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what a test saw."""
        if report.failed:
            self.failed.append(report.nodeid)
        elif report.when == "call" and report.nodeid in self._promises:
            self.rows[self._promises[report.nodeid]] += [
                str(seen) for name, seen in report.user_properties if name == SEEN
            ]

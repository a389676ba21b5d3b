"""Which servers do not start, because strangers would reach them."""

from __future__ import annotations

from pathlib import Path

import pytest

from facet.server.access.exposure import Exposed, check_exposure


def check(
    *,
    is_loopback: bool = False,
    has_callers: bool = False,
    has_tls: bool = False,
    may_lack_callers: bool = False,
    insecure: bool = False,
) -> None:
    check_exposure(
        "192.0.2.1",
        Path("facet.callers.json"),
        is_loopback=is_loopback,
        has_callers=has_callers,
        has_tls=has_tls,
        may_lack_callers=may_lack_callers,
        insecure=insecure,
    )


def test_other_machines_are_served_with_callers_and_tls_or_in_so_many_words_without() -> None:
    check(has_callers=True, has_tls=True)
    check(may_lack_callers=True, has_tls=True)
    check(insecure=True)
    check(is_loopback=True)


def test_a_refusal_says_what_is_missing_and_no_more() -> None:
    with pytest.raises(
        Exposed,
        match=r"^192\.0\.2\.1 can be reached .* needs callers and TLS\. No callers: run `facet keys .*`\. No TLS: set ",
    ):
        check()
    with pytest.raises(Exposed, match="No TLS") as no_tls:
        check(has_callers=True)
    assert "No callers" not in str(no_tls.value)
    with pytest.raises(Exposed, match="No callers") as no_callers:
        check(has_tls=True)
    assert "No TLS" not in str(no_callers.value)
    with pytest.raises(Exposed, match=r"needs TLS\. No TLS"):
        check(may_lack_callers=True)

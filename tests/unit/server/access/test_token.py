"""What the operator is told about the server's token."""

from __future__ import annotations

from pydantic import SecretStr
from structlog.testing import capture_logs

from facet.server.access.token import SHORTEST, log_access, weakness_of


def test_a_token_that_can_be_guessed_is_weak() -> None:
    assert weakness_of(SecretStr("secret")) == f"fewer than {SHORTEST} characters"
    assert weakness_of(SecretStr("ab" * SHORTEST)) == "fewer than 6 different characters"
    assert not weakness_of(SecretStr("0123456789abcdef"))


def test_a_server_without_callers_says_who_may_do_everything() -> None:
    with capture_logs() as logged:
        log_access(None, is_open=True, is_loopback=True)
        log_access(None, is_open=True, is_loopback=False)
        log_access(None, is_open=False, is_loopback=False)
    assert [(line["log_level"], line["may_do_everything"]) for line in logged] == [
        ("info", "every program on this machine"),
        ("warning", "everybody who reaches this address"),
    ]


def test_a_weak_token_is_said_without_the_token_and_a_strong_one_is_not() -> None:
    with capture_logs() as logged:
        log_access(SecretStr("qwerty"), is_open=False, is_loopback=True)
        log_access(SecretStr("0123456789abcdef"), is_open=False, is_loopback=False)
    (line,) = logged
    assert line["log_level"] == "warning"
    assert "qwerty" not in str(line)

"""Secrets from files: FACET_SERVER__TOKEN_FILE names the file with what FACET_SERVER__TOKEN would hold.

Containers, Kubernetes and systemd hand secrets over in files. A variable is inherited by every process, and tools that
inspect a container show it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from facet.server.config.problems import ConfigError

SUFFIX = "_FILE"
"""How the variable ends that names the file, after the name of the variable of the setting."""


def with_secrets(variables: Mapping[str, str | None], secrets: Iterable[str]) -> dict[str, str | None]:
    """Replace each variable that names a file by the variable of the setting, with the file's text.

    Args:
        variables: the environment, names in lower case.
        secrets: the variables of settings that are secret.

    Raises:
        ConfigError: a file cannot be read or is empty, or the setting has both variables.
    """
    given = dict(variables)
    for variable in secrets:
        name = f"{variable}{SUFFIX}"
        path = given.pop(name.lower(), None)
        if path is None:
            continue
        if variable.lower() in given:
            raise ConfigError(f"{variable} and {name} exclude each other: leave one of them out")
        given[variable.lower()] = _text(path, name)
    return given


def _text(path: str, name: str) -> str:
    """The text of a file without the end of its line."""
    try:
        text = Path(path).read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise ConfigError(f"{name}: cannot read {path!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: {path!r} is not text in UTF-8") from error
    if not text:
        raise ConfigError(f"{name}: {path!r} is empty")
    return text

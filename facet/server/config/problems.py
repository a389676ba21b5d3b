"""What is wrong with a configuration, in words: which setting there is not, and which values one takes."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

_OWN_WORDS = "value_error"
"""Pydantic's type of an error that a validator of ours raises."""


class ConfigError(Exception):
    """The configuration is invalid; the message has a line for each wrong setting."""


def no_such(name: str, known: Iterable[str]) -> str:
    """Say that a setting does not exist, and name the nearest that does.

    Args:
        name: as it was typed: a name, a flag or a variable.
        known: all names of that kind.
    """
    nearest = get_close_matches(name, list(known), n=1)
    return f"there is no setting {name}" + (f"; did you mean {nearest[0]}?" if nearest else "")


def explain(error: ValidationError, config: type[BaseModel]) -> str:
    """Describe each error in a line, without the values of secrets."""
    return "\n".join(_explained(each, config) for each in error.errors())


def setting_names(config: type[BaseModel]) -> dict[str, FieldInfo]:
    """Every setting by its name, ``section.name``, in order."""
    return {
        f"{section}.{name}": field
        for section, of_section in config.model_fields.items()
        for name, field in of_section.annotation.model_fields.items()  # type: ignore[union-attr]
    }


def is_secret(field: FieldInfo) -> bool:
    """Whether the value of a setting is masked."""
    return SecretStr in _alternatives(field)


def _explained(error: Any, config: type[BaseModel]) -> str:
    settings = setting_names(config)
    name = ".".join(map(str, error["loc"][:2]))
    if error["type"] == _OWN_WORDS:
        return f"{name}: {error['msg'].removeprefix('Value error, ')}".removeprefix(": ")
    if name in config.model_fields:
        return f"{name} must be a section of settings"
    if name not in settings:
        return no_such(name, [*settings, *config.model_fields])
    return f"{name} must be {_expected(settings[name])}{_found(settings[name], error['input'])}"


def _expected(field: FieldInfo) -> str:
    """What a setting takes, such as "an integer from 0 to 65535"."""
    (kind, *_) = [each for each in _alternatives(field) if each is not type(None)]
    if get_origin(field.annotation) is Literal:
        return f"one of {', '.join(get_args(field.annotation))}"
    if kind is bool:
        return "true or false"
    if kind in (int, float):
        return ("an integer" if kind is int else "a number") + _bounds(field)
    if get_origin(kind) is tuple:
        return "a list of texts"
    pattern = next((each.pattern for each in field.metadata if getattr(each, "pattern", None)), "")
    return "a path" if kind is Path else f"text that matches {pattern}" if pattern else "text"


def _alternatives(field: FieldInfo) -> tuple[Any, ...]:
    """The types of a setting: more than one if it may be unset."""
    is_tuple = get_origin(field.annotation) is tuple
    return (field.annotation,) if is_tuple else get_args(field.annotation) or (field.annotation,)


def _bounds(field: FieldInfo) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    found = {name: getattr(each, name) for each in field.metadata for name in words if hasattr(each, name)}
    if found.keys() == {"ge", "le"}:
        return f" from {found['ge']} to {found['le']}"
    said = " and ".join(f"{words[name]} {found[name]}" for name in words if name in found)
    return f" {said}" if said else ""


def _found(field: FieldInfo, value: Any) -> str:
    return f", not {value!r}" if isinstance(value, (str, int, float)) and not is_secret(field) else ""

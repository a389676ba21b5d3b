"""Options that commands share in groups: a command takes a dataclass, and typer sees an option for each field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, get_type_hints


def grouped_options(command: Callable[..., None]) -> Callable[..., None]:
    """Make options of the fields of each parameter that is a dataclass.

    The fields are annotated as options are, have defaults, and stand in the help where the parameter does.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    options: list[Parameter] = []
    for each in signature(command).parameters.values():
        if each.name in groups:
            options += _options(groups[each.name])
        else:
            options.append(each.replace(kind=Parameter.KEYWORD_ONLY, annotation=hints[each.name]))

    @wraps(command)
    def grouped(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        command(**given)

    vars(grouped)["__signature__"] = Signature(options)
    grouped.__annotations__ = {each.name: each.annotation for each in options}
    return grouped


def _options(group: Any) -> list[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name])
        for field in fields(group)
    ]

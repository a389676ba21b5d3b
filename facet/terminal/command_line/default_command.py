"""Groups with a default command: words that do not begin with a command's name are the default command's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from facet.terminal.command_line.lazy import Lazy, LazyGroup


class DefaultGroup(LazyGroup):
    """A group where ``group WORD --options`` means ``group DEFAULT WORD --options``.

    A word that is also a command's name is that command's: to pass it to the default command, name that command. Of two
    words, the first is meant as a command: the default one takes one argument.

    Attributes:
        default: the name of the default command.
    """

    default: ClassVar[str] = ""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Find out which command the words begin with, and add the default one's name if it is none."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names and not _has_two_words(args):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


def group_with_default(commands: Sequence[Lazy], default: str) -> type[DefaultGroup]:
    """The class of a group of these commands, for ``typer.Typer(cls=...)``.

    Args:
        commands: the commands.
        default: the name of one of them.
    """
    return type("Group", (DefaultGroup,), {"lazy": tuple(commands), "default": default})


def _has_two_words(args: Sequence[str]) -> bool:
    return len(args) > 1 and not any(each.startswith("-") for each in args[:2])

"""The messages of a call that streams to the server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Messages(Generic[T]):
    """Messages, one after the other.

    Args:
        messages: the messages.

    Attributes:
        error: what making one failed with, which gRPC does not pass on.
    """

    def __init__(self, messages: Iterator[T]) -> None:
        self._messages = messages
        self.error: BaseException | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        try:
            return next(self._messages)
        except StopIteration:
            raise
        except BaseException as error:
            self.error = error
            raise

"""The head: the last entry that is known to be on disk, so that a log whose end was cut off is recognised."""

from __future__ import annotations

import hmac
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from facet.server.audit.chain.entry import FIRST_HASH, MAX_SEQ
from facet.server.audit.chain.keys import AuditKey

_TEXT = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class InvalidHead(ValueError):
    """A head cannot be read."""


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry of a log at some time, as somebody kept it.

    Attributes:
        seq: its number; 0 if there is none.
        hash: its hash.
    """

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True, slots=True)
class SignedHead(Head):
    """The last entry on disk when its file was written.

    Attributes:
        mac: the HMAC of both under the audit key.
    """

    mac: str

    def is_of(self, key: AuditKey) -> bool:
        """Whether it was written with a key."""
        return hmac.compare_digest(self.mac.encode(), key.mac_of_head(self.seq, self.hash).encode())


NO_ENTRY = Head(0, FIRST_HASH)


def parse_head(text: str) -> Head:
    """Read what ``facet audit head`` prints: SEQ:HASH.

    Raises:
        InvalidHead: it is something else.
    """
    if not (found := _TEXT.fullmatch(text.strip())):
        raise InvalidHead("a head is SEQ:HASH, as facet audit head prints it")
    return Head(int(found[1]), found[2])


def read_head(path: Path) -> SignedHead:
    """Read a head from its file.

    Raises:
        InvalidHead: the file holds something else.
        OSError: it is missing, or cannot be read.
    """
    try:
        found = json.loads(path.read_bytes())
        seq, digest, mac = found["seq"], found["hash"], found["mac"]
        if type(seq) is int and 0 <= seq < MAX_SEQ and _DIGEST.fullmatch(digest) and _DIGEST.fullmatch(mac):
            return SignedHead(seq, digest, mac)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass  # refused below
    raise InvalidHead(f"{path} holds no head of an audit log")


def write_head(path: Path, head: Head, key: AuditKey, *, durable: bool) -> None:
    """Write a head in place of an older one.

    Args:
        path: its file.
        head: the last entry.
        key: the audit key.
        durable: whether it must be on disk when this returns.

    Raises:
        OSError: it cannot be written.
    """
    said = {"seq": head.seq, "hash": head.hash, "mac": key.mac_of_head(head.seq, head.hash)}
    new = path.with_name(f".{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"{json.dumps(said)}\n".encode())
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(path)

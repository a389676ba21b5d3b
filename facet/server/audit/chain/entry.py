"""An entry of the audit log: its line of JSON, its hash, and its place in the chain."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from facet.server.audit.chain.keys import AuditKey
from facet.server.audit.protocol import Fact

BEGUN: Final = "BEGUN"
"""The outcome of an intent: a change is about to be made. Another entry tells how it ended."""
FIRST_HASH: Final = "0" * 64
"""What the first entry of a log names as the hash of the one before."""

MAX_SEQ: Final = 10**18
"""Numbers of entries are smaller."""
_OPTIONAL = ("caller", "address", "gallery", "subject", "reason", "intent", "facts")
_FIELDS = frozenset(("seq", "time", "action", "outcome", "prev", *_OPTIONAL))
_HASH, _MAC, _END = b',"hash":"', b'","mac":"', b'"}'
_SEAL_BYTES = len(_HASH) + 64 + len(_MAC) + 64 + len(_END)
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode


class InvalidLine(ValueError):
    """A line of a log is not an entry, or its hash is not that of its content; the message says which."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What an entry tells, before it has its place in the chain.

    Attributes:
        time: in UTC with microseconds, such as ``2026-11-26T19:15:40.123456Z``.
        action: what was done.
        caller: the id of the caller's identity; ``server`` for the server itself.
        address: the caller's address without its port; empty if there is none.
        gallery: the gallery; empty if it concerns none.
        subject: the keyed hash of the subject's id, or the id; empty if it concerns none.
        outcome: the name of the status code, or :data:`BEGUN`.
        reason: the reason of an error.
        intent: the number of the entry that began what this one ends; 0 if there is none.
        facts: counts and the like, by name.
    """

    time: str
    action: str
    caller: str = ""
    address: str = ""
    gallery: str = ""
    subject: str = ""
    outcome: str = "OK"
    reason: str = ""
    intent: int = 0
    facts: Mapping[str, Fact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry in its place.

    Attributes:
        seq: its number, from 1.
        draft: what it tells.
        prev: the hash of the entry before.
        hash: SHA-256 of its canonical JSON without ``hash`` and ``mac``, hexadecimal.
        mac: HMAC of the hash under the audit key, hexadecimal.
    """

    seq: int
    draft: Draft
    prev: str
    hash: str
    mac: str

    def as_dict(self) -> dict[str, Any]:
        """The entry as JSON has it."""
        return {**_content(self.seq, self.draft, self.prev), "hash": self.hash, "mac": self.mac}

    @property
    def line(self) -> bytes:
        """Its line in the file, without the line's end."""
        return _line(_encode(_content(self.seq, self.draft, self.prev)).encode(), self.hash, self.mac)


def seal(draft: Draft, seq: int, prev: str, key: AuditKey) -> tuple[bytes, str]:
    """Give a draft its place; returns its line, with the line's end, and its hash."""
    content = _encode(_content(seq, draft, prev)).encode()
    digest = hashlib.sha256(content).hexdigest()
    return _line(content, digest, key.mac_of_entry(digest)) + b"\n", digest


def parse(line: bytes) -> Entry:
    """Read a line without its end.

    The hash covers the bytes of the line itself: everything before ``,"hash"``, and a closing brace.

    Raises:
        InvalidLine: it is not an entry, or not in the one form that entries are written in, or its hash is wrong.
    """
    content, seal_of = line[:-_SEAL_BYTES] + b"}", line[-_SEAL_BYTES:]
    if not (seal_of.startswith(_HASH) and seal_of[len(_HASH) + 64 :].startswith(_MAC) and seal_of.endswith(_END)):
        raise InvalidLine("it is not an entry")
    digest = seal_of[len(_HASH) :][:64].decode("ascii", "replace")
    mac = seal_of[len(_HASH) + 64 + len(_MAC) :][:64].decode("ascii", "replace")
    if hashlib.sha256(content).hexdigest() != digest:
        raise InvalidLine("its hash is not that of its content: it was edited")
    try:
        return _entry(json.loads(content), digest, mac)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise InvalidLine("it is not an entry") from None


def _entry(found: Any, digest: str, mac: str) -> Entry:
    if not isinstance(found, dict) or not found.keys() <= _FIELDS:
        raise InvalidLine("it is not an entry")
    seq, prev = found.pop("seq"), found.pop("prev")
    draft = Draft(**found)
    texts = (prev, draft.time, draft.action, draft.caller, draft.address, draft.gallery, draft.subject, draft.outcome)
    numbers = (seq, draft.intent)
    if not all(isinstance(each, str) for each in (*texts, draft.reason)) or any(
        type(each) is not int for each in numbers
    ):
        raise InvalidLine("it is not an entry")
    if not isinstance(draft.facts, dict) or not 1 <= seq < MAX_SEQ:
        raise InvalidLine("it is not an entry")
    return Entry(seq, draft, prev, digest, mac)


def _content(seq: int, draft: Draft, prev: str) -> dict[str, Any]:
    """The JSON object whose hash is taken; what is empty is left out."""
    content: dict[str, Any] = {"seq": seq, "time": draft.time, "action": draft.action, "outcome": draft.outcome}
    content["prev"] = prev
    for name in _OPTIONAL:
        if value := getattr(draft, name):
            content[name] = value
    return content


def _line(content: bytes, digest: str, mac: str) -> bytes:
    return b"".join((content[:-1], _HASH, digest.encode(), _MAC, mac.encode(), _END))

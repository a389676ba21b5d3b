"""The file with the server's callers: what it holds, and how it is read and written."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from facet.server.access.identity import WILDCARD, Scope
from gallery import names

MAX_BYTES = 1 << 26
MAX_LABEL = 128
_VERSION: Literal[1] = 1
_PREFIX = r"[a-z0-9][a-z0-9._-]{0,62}"
_MODE = 0o600
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class CallersFileError(Exception):
    """The callers file cannot be used. The message names the file and the entry, and no secret."""


def gallery_pattern(text: str) -> str:
    """Check what names permitted galleries: an id, a prefix such as ``site-a-*``, or ``*``.

    Raises:
        ValueError: it is none of these.
    """
    if text == WILDCARD:
        return text
    try:
        names.gallery_id(text.removesuffix(WILDCARD))
    except ValueError as error:
        raise ValueError(f"must be a gallery's id, a prefix such as site-a-*, or *: {error}") from None
    return text


def short_label(text: str) -> str:
    """Check a label.

    Raises:
        ValueError: it is too long, or not printable.
    """
    if len(text) > MAX_LABEL or not text.isprintable():
        raise ValueError(f"must be at most {MAX_LABEL} printable characters")
    return text


def in_utc(moment: datetime) -> datetime:
    """Check a time, and convert it to UTC.

    Raises:
        ValueError: it is not in the years 1 to 9999 there.
    """
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be in the years 1 to 9999 of UTC") from None


_Moment = Annotated[AwareDatetime, AfterValidator(in_utc)]
_Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
"""SHA-256 of a secret, hexadecimal. The secret is 256 random bits, so that no slow hash is needed."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class PreviousSecret(_Strict):
    """The secret that a key had before it was rotated, and how long it still works."""

    sha256: _Hash
    expires: _Moment


class CallerEntry(_Strict):
    """A caller.

    Attributes:
        id: stable, and part of the key.
        label: the operator's name for it.
        kind: how it proves who it is: by a key, a client certificate, or a token of an identity provider.
        sha256: of the key's secret.
        previous: its secret before the last rotation.
        certificate: a DNS name or URI of the client certificate's subjectAltName.
        issuer: ``iss`` of the tokens.
        subject: ``sub`` of the tokens.
        scopes: what it may do.
        galleries: ids, prefixes such as ``site-a-*``, or ``*`` for all.
        created: when it was made.
        expires: when its rights end.
        calls_per_second: how many calls it may make.
        concurrent_calls: how many of its calls may be open.
        revoked: when it was revoked.
    """

    id: str = Field(pattern="^[a-z0-9-]{1,32}$")
    label: Annotated[str, AfterValidator(short_label)] = ""
    kind: Literal["key", "certificate", "oidc"]
    sha256: _Hash | None = None
    previous: PreviousSecret | None = None
    certificate: str | None = Field(None, min_length=1, max_length=1024)
    issuer: str | None = Field(None, min_length=1, max_length=1024)
    subject: str | None = Field(None, min_length=1, max_length=1024)
    scopes: list[Scope]
    galleries: list[Annotated[str, AfterValidator(gallery_pattern)]]
    created: _Moment
    expires: _Moment | None = None
    calls_per_second: float | None = Field(None, gt=0, le=1e6)
    concurrent_calls: int | None = Field(None, ge=1, le=1_000_000)
    revoked: _Moment | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        needed = {"key": ("sha256",), "certificate": ("certificate",), "oidc": ("issuer", "subject")}
        for kind, fields in needed.items():
            for field in fields:
                if (getattr(self, field) is None) == (kind == self.kind):
                    raise ValueError(
                        f"a caller of kind {self.kind} {'needs' if kind == self.kind else 'has no'} {field}"
                    )
        if self.previous is not None and self.kind != "key":
            raise ValueError(f"a caller of kind {self.kind} has no previous")
        return self

    @property
    def identity_id(self) -> str:
        """The id of its identity, which is logged."""
        return f"{self.kind}:{self.id}"

    @property
    def credential(self) -> tuple[str | None, ...]:
        """What no two callers may share, unless one of them was revoked."""
        return self.kind, self.sha256, self.certificate, self.issuer, self.subject


class CallersFile(_Strict):
    """The content of the file."""

    version: Literal[1] = _VERSION
    callers: list[CallerEntry] = []

    @model_validator(mode="after")
    def _are_different(self) -> Self:
        ids = Counter(each.id for each in self.callers)
        if twice := [each for each, count in ids.items() if count > 1]:
            raise ValueError(f"two callers have the id {twice[0]}")
        holders: dict[tuple[str | None, ...], str] = {}
        for each in self.callers:
            if each.revoked is None and (other := holders.setdefault(each.credential, each.id)) != each.id:
                raise ValueError(f"the callers {other} and {each.id} have the same credentials")
        return self


def read(path: Path) -> CallersFile:
    """Read the file.

    Raises:
        FileNotFoundError: there is none.
        CallersFileError: it cannot be read or used, or other users can write it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CallersFileError(f"cannot read {path}: {error.strerror}") from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise CallersFileError(f"{path} is not a file")
        if mode & _OTHERS_WRITE:
            raise CallersFileError(f"other users can write {path}, and let themselves in: chmod 600 {path}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    return _parsed(path, data)


@contextmanager
def changing(path: Path, *, must_exist: bool = False) -> Iterator[list[CallerEntry]]:
    """Yield the callers to a block that changes the list, then write them. Others wait meanwhile.

    The file appears whole, with mode 0600, or not at all.

    Args:
        path: the file.
        must_exist: whether to refuse to make it.

    Raises:
        CallersFileError: the file or its lock cannot be used, or the callers do not go together.
        OSError: it cannot be written.
    """
    target = path.resolve()
    if must_exist and not target.exists():
        raise CallersFileError(f"there is no file {target}")
    with _locked(target):
        try:
            callers = list(read(target).callers)
        except FileNotFoundError:
            callers = []
        yield callers
        try:  # nothing is written that cannot be read
            checked = CallersFile.model_validate_json(CallersFile.model_construct(callers=callers).model_dump_json())
        except ValidationError as error:
            raise CallersFileError(f"{path} was not changed: {explained(error)}") from None
        write(target, checked.model_dump_json(indent=1, exclude_none=True) + "\n")


def write(path: Path, text: str, *, durably: bool = True) -> None:
    """Replace a file by one with mode 0600, so that a reader sees the old one or the new one.

    With ``durably``, this holds after a crash of the machine as well.

    If root writes it, it belongs to the owner of the old one or of the folder: the server may run as that user.

    Raises:
        OSError: it cannot be written.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            _give_to_owner(descriptor, path)
            if durably:
                os.fsync(descriptor)
        Path(name).replace(path)
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()
    if not durably:
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    name = path.with_name(f".{path.name}.lock")
    try:
        lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
    except OSError as error:
        raise CallersFileError(f"cannot open {name}: {error.strerror}") from error
    try:
        state = os.fstat(lock)
        if stat.S_ISREG(state.st_mode) and state.st_nlink == 1:  # never somebody else's file
            _give_to_owner(lock, path)
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _give_to_owner(descriptor: int, path: Path) -> None:
    """Give a file that root writes beside another to the owner of that one, or of their folder."""
    if os.geteuid() == 0:
        owner = (path if path.exists() else path.parent).stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _parsed(path: Path, data: bytes) -> CallersFile:
    if len(data) > MAX_BYTES:
        raise CallersFileError(f"{path} has more than {MAX_BYTES} bytes")
    try:
        return CallersFile.model_validate_json(data)
    except ValidationError as error:
        # The error's own text would quote the values.
        raise CallersFileError(f"{path} cannot be used: {explained(error, data)}") from None


def explained(error: ValidationError, data: bytes = b"") -> str:
    """What is wrong first, by the number and the id of the caller, without the value.

    Args:
        error: the error.
        data: the file, if it is one.
    """
    first = error.errors(include_url=False, include_input=False)[0]
    message = str(first["msg"]).removeprefix("Value error, ")
    match first["loc"]:
        case ("callers", int(index), *rest):
            where = f"caller {index + 1}{_id_of(data, index)}"
            return f"{where}: {'.'.join(map(str, rest))}{': ' if rest else ''}{message}"
        case place:
            return f"{'.'.join(map(str, place))}{': ' if place else ''}{message}"


def _id_of(data: bytes, index: int) -> str:
    with suppress(ValueError, LookupError, TypeError):
        found: Any = json.loads(data)["callers"][index]["id"]
        if isinstance(found, str) and len(found) <= MAX_LABEL and found.isprintable():
            return f" ({found})"
    return ""

"""Files encrypted for recipients by age (https://age-encryption.org/v1), piece by piece."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any, BinaryIO

import pyrage

_HEADER = b"age-encryption.org/v1\n"
_ARMOR = b"-----BEGIN AGE ENCRYPTED FILE-----"
_SECRET = "AGE-SECRET-KEY-"  # noqa: S105 - how an identity begins
_PIECES_AHEAD = 4
_MOST_BYTES = 2**20
"""Of a file of recipients or identities."""


class AgeError(Exception):
    """A recipient, an identity or an encrypted file cannot be used. The message quotes no secret."""


def is_encrypted(path: Path) -> bool:
    """Whether a file is encrypted by age.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(len(_ARMOR)).startswith((_HEADER, _ARMOR))


def recipients_of(texts: Iterable[str]) -> list[Any]:
    """Return recipients: public keys of age or SSH, or names of files with one on each line.

    Raises:
        AgeError: one of them is neither.
    """
    found = []
    for text in texts:
        lines = [text] if text.startswith(("age1", "ssh-", _SECRET)) else _lines(Path(text), "recipients")
        found += [_recipient(line) for line in lines]
    if not found:
        raise AgeError("there is no recipient: name a public key such as age1..., or a file of them")
    return found


def identities_of(path: Path) -> list[Any]:
    """Return the identities in a file: lines that begin with AGE-SECRET-KEY-, or a private key of SSH.

    Raises:
        AgeError: it cannot be read, or has none.
    """
    lines = _lines(path, "identities")
    try:
        if lines and lines[0].startswith("-----BEGIN"):
            return [pyrage.ssh.Identity.from_buffer(path.read_bytes())]
        found = [pyrage.x25519.Identity.from_str(line) for line in lines if line.startswith(_SECRET)]
    except (OSError, pyrage.IdentityError) as error:
        raise AgeError(f"{path} has an identity that cannot be used") from error
    if not found:
        raise AgeError(f"{path} has no identity: a line that begins with {_SECRET}, or a private key of SSH")
    return found


def new_identity() -> tuple[str, str]:
    """Return a new identity, which is secret, and its recipient, which is public."""
    identity = pyrage.x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def encrypt(pieces: Iterable[bytes], target: BinaryIO, recipients: Sequence[Any]) -> None:
    """Encrypt what is in the pieces into a file.

    Raises:
        AgeError: a recipient cannot be used.
        OSError: the file cannot be written.
        BaseException: what the pieces raise.
    """
    reader, writer = _Reader(iter(pieces)), _Target(target)
    try:
        pyrage.encrypt_io(reader, writer, recipients)
    except pyrage.EncryptError as error:
        failure = reader.failure or writer.failure
        if failure is not None:
            raise failure from None
        raise AgeError(f"cannot encrypt: {error}") from error


def decrypt(source: BinaryIO, identities: Sequence[Any]) -> Iterator[bytes]:
    """Decrypt a file piece by piece. Each piece is authentic; only the end shows that none is missing.

    Raises:
        AgeError: no identity fits, or the file was changed or cut off.
        OSError: it cannot be read.
    """
    writer = _Writer()
    thread = Thread(target=_decrypt, args=(source, writer, identities), name="decryption", daemon=True)
    thread.start()
    try:
        while isinstance(piece := writer.pieces.get(), bytes):
            yield piece
        if piece is not None:
            raise piece
    finally:
        writer.is_cancelled = True
        while thread.is_alive():
            while not writer.pieces.empty():
                writer.pieces.get()
            thread.join(0.01)


def _decrypt(source: BinaryIO, writer: _Writer, identities: Sequence[Any]) -> None:
    try:
        pyrage.decrypt_io(source, writer, identities)
        writer.flush()
        writer.pieces.put(None)
    except pyrage.DecryptError as error:
        wrong = "No matching keys found" in str(error)
        why = "none of the identities is one that it was encrypted for" if wrong else "it is damaged"
        writer.pieces.put(AgeError(f"the file cannot be decrypted: {why}"))
    except OSError as error:
        # What age itself finds wrong after the header comes without a number.
        writer.pieces.put(error if error.errno else AgeError("the file cannot be decrypted: it was changed or cut off"))
    except _Cancelled:
        writer.pieces.put(None)
    except BaseException as error:  # raised in the thread that waits for pieces
        writer.pieces.put(error)


class _Cancelled(Exception):
    """Nobody wants the rest."""


class _Reader(io.RawIOBase):
    """What pieces contain, as a file. pyrage replaces exceptions, so the first one is kept."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.failure: BaseException | None = None
        self._pieces = pieces
        self._rest = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        try:
            while not self._rest:
                self._rest = memoryview(next(self._pieces))
        except StopIteration:
            return b""
        except BaseException as error:
            self.failure = error
            raise
        taken, self._rest = (self._rest[:size], self._rest[size:]) if size >= 0 else (self._rest, memoryview(b""))
        return bytes(taken)


class _Target:
    """A file that is written, and that keeps its first exception, as :class:`_Reader` does."""

    def __init__(self, file: BinaryIO) -> None:
        self.failure: BaseException | None = None
        self._file = file

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except BaseException as error:
            self.failure = error
            raise

    def flush(self) -> None:
        self._file.flush()


class _Writer:
    """Hands what is written to another thread, in pieces of about 1 MiB."""

    def __init__(self) -> None:
        self.pieces: Queue[bytes | BaseException | None] = Queue(_PIECES_AHEAD)
        self.is_cancelled = False
        self._gathered = bytearray()

    def write(self, data: bytes) -> int:
        if self.is_cancelled:
            raise _Cancelled
        self._gathered += data
        if len(self._gathered) >= 1 << 20:
            self.flush()
        return len(data)

    def flush(self) -> None:
        if self._gathered:
            self.pieces.put(bytes(self._gathered))
            self._gathered.clear()


def _lines(path: Path, what: str) -> list[str]:
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode()
    except OSError as error:
        raise AgeError(f"the {what} in {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise AgeError(f"{path} is no file of {what}") from error
    return [line for each in text.splitlines() if (line := each.strip()) and not line.startswith("#")]


def _recipient(text: str) -> Any:
    if text.startswith(_SECRET):
        raise AgeError("a recipient is the public key (age1...), not the secret one")
    try:
        return (pyrage.ssh if text.startswith("ssh-") else pyrage.x25519).Recipient.from_str(text)
    except pyrage.RecipientError as error:
        raise AgeError(f"{text[:20]}... is no recipient: expected age1... or a public key of SSH") from error

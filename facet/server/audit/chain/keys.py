"""The audit key: it shows that entries were written by the server, and hides ids of subjects."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from pathlib import Path

from facet.server.audit.errors import AuditKeyError

_BYTES = 32
_READABLE_BY_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_SUBJECT_DIGITS = 32


class AuditKey:
    """Makes what only who has the key can make (HMAC-SHA-256, RFC 2104). Each use has a key of its own.

    Args:
        secret: 32 bytes.
    """

    def __init__(self, secret: bytes) -> None:
        self._entries, self._heads, self._subjects = (
            hmac.digest(secret, use, "sha256")
            for use in (b"facet audit entry", b"facet audit head", b"facet audit subject")
        )

    def mac_of_entry(self, digest: str) -> str:
        """The code of an entry with this hash, 64 hexadecimal digits."""
        return hmac.digest(self._entries, digest.encode(), "sha256").hex()

    def mac_of_head(self, seq: int, digest: str) -> str:
        """The code of a head, 64 hexadecimal digits."""
        return hmac.digest(self._heads, f"{seq}:{digest}".encode(), "sha256").hex()

    def hash_of_subject(self, subject_id: str) -> str:
        """What stands for a subject in the log, 32 hexadecimal digits."""
        return hmac.digest(self._subjects, subject_id.encode(), "sha256").hex()[:_SUBJECT_DIGITS]


def load_key(path: Path) -> AuditKey:
    """Read the key from its file: 64 hexadecimal digits.

    Raises:
        FileNotFoundError: there is no such file.
        AuditKeyError: it cannot be read, others can read it, or it holds no key.
    """
    try:
        status = path.stat()
        text = path.read_text("ascii").strip()
        secret = bytes.fromhex(text)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise AuditKeyError(f"cannot read the audit key {path}: {error.strerror}") from error
    except ValueError:
        secret = b""
    if len(secret) != _BYTES:
        raise AuditKeyError(f"{path} holds no audit key: 64 hexadecimal digits, as openssl rand -hex 32 prints")
    if status.st_mode & _READABLE_BY_OTHERS and status.st_uid == os.geteuid():
        raise AuditKeyError(f"others can read the audit key {path}: chmod 600 {path}")
    return AuditKey(secret)


def make_key(path: Path) -> AuditKey:
    """Make a new key, in a file that only its owner reads.

    Raises:
        OSError: it cannot be written.
    """
    secret = secrets.token_bytes(_BYTES)
    new = path.with_name(f".{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"{secret.hex()}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(path)
    return AuditKey(secret)

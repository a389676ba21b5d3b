"""Master keys: they wrap the data keys of galleries, and come from a file, an environment variable or a command."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import shlex
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gallery.errors import KeysUnusable

KEY_BYTES = 32
NONCE_BYTES = 12
_MOST_KEYS = 100
_MOST_BYTES = 2**16
_COMMAND_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A 256-bit key that encrypts data keys by AES-256-GCM, and nothing else.

    Attributes:
        id: 16 hexadecimal digits of a digest of the key. They tell keys apart, and reveal nothing about the key.
    """

    id: str
    _key: bytes = field(repr=False)

    @staticmethod
    def of(key: bytes) -> MasterKey:
        """Return the master key with these bytes.

        Raises:
            KeysUnusable: they are not 32.
        """
        if len(key) != KEY_BYTES:
            raise KeysUnusable(f"a master key has {len(key)} bytes instead of {KEY_BYTES}; {_HOW}")
        return MasterKey(hashlib.sha256(b"facet master key id\0" + key).hexdigest()[:16], key)

    def wrap(self, data_key: bytes, *, context: bytes) -> bytes:
        """Encrypt a data key; the result begins with a random nonce. ``context`` must be the same at unwrapping."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(self._key).encrypt(nonce, data_key, context)

    def unwrap(self, wrapped: bytes, *, context: bytes) -> bytes:
        """Decrypt a data key.

        Raises:
            KeysUnusable: it was changed, wrapped by another key, or wrapped in another context.
        """
        try:
            return AESGCM(self._key).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], context)
        except (InvalidTag, ValueError) as error:
            raise KeysUnusable(f"a data key was changed after master key {self.id} wrapped it") from error


@dataclass(frozen=True, slots=True)
class MasterKeys:
    """One or more master keys: the first wraps, the others still unwrap.

    Attributes:
        keys: at least one.
        source: where they come from, for messages.
    """

    keys: Sequence[MasterKey]
    source: str

    @property
    def current(self) -> MasterKey:
        """The key that wraps data keys from now on."""
        return self.keys[0]

    def find(self, key_id: str) -> MasterKey | None:
        """Return the key with an id; ``None`` if it is not among them."""
        return next((key for key in self.keys if key.id == key_id), None)


class MasterKeySource(Protocol):
    """Where master keys come from."""

    def read(self) -> MasterKeys:
        """Read the keys.

        Raises:
            KeysUnusable: they cannot be read, or are no keys.
        """

    def version(self) -> object:
        """Return something that changes when the keys may have changed; ``None`` if they cannot change."""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file with a key in base64 on each line; the first one is current. Lines that begin with # are comments."""

    path: Path

    def read(self) -> MasterKeys:
        """See :meth:`MasterKeySource.read`. A file that other users can read is refused."""
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                # A file of root, such as a mounted secret, has a mode that this user cannot change.
                if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o077:
                    raise KeysUnusable(
                        f"other users may read the master key in {self.path}: "
                        f"run chmod 600 {shlex.quote(str(self.path))}"
                    )
                text = file.read(_MOST_BYTES + 1)
        except OSError as error:
            raise KeysUnusable(
                f"the master key in {self.path} cannot be read: {error.strerror}; put the file back, or name another "
                "one in gallery.encryption_key_file"
            ) from error
        return _parsed(text, str(self.path))

    def version(self) -> object:
        """See :meth:`MasterKeySource.version`."""
        try:
            found = self.path.stat()
        except OSError:
            return "missing"
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode


@dataclass(frozen=True, slots=True)
class KeyVariable:
    """An environment variable with one or more keys in base64, separated by blanks or commas; the first is current."""

    name: str

    def read(self) -> MasterKeys:
        """See :meth:`MasterKeySource.read`."""
        value = os.environ.get(self.name, "")
        if not value.strip():
            raise KeysUnusable(
                f"the environment variable {self.name} has no master key: set it, or name another one in "
                "gallery.encryption_key_env"
            )
        return _parsed(value.encode("utf-8", "replace"), f"the environment variable {self.name}")

    def version(self) -> object:
        """See :meth:`MasterKeySource.version`."""
        return None


@dataclass(frozen=True, slots=True)
class KeyCommand:
    """A command that prints keys as a :class:`KeyFile` has them, such as the client of a key management service.

    It runs without a shell, with nothing on its standard input, and has 30 seconds.
    """

    command: str
    seconds: float = _COMMAND_SECONDS

    def read(self) -> MasterKeys:
        """See :meth:`MasterKeySource.read`. What the command prints is in no message."""
        source = "the command of gallery.encryption_key_command"
        try:
            arguments = shlex.split(self.command)
        except ValueError as error:
            raise KeysUnusable(f"{source} cannot be split into words: {error}") from error
        if not arguments:
            raise KeysUnusable(f"{source} is empty")
        try:
            done = subprocess.run(  # noqa: S603 - the operator's own command
                arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=self.seconds, check=False
            )
        except subprocess.TimeoutExpired:
            # Its output is in the exception, so that this one must not be shown as the cause.
            raise KeysUnusable(f"{source} took longer than {self.seconds:.0f} seconds") from None
        except (OSError, ValueError) as error:
            raise KeysUnusable(f"{source} cannot be run: {getattr(error, 'strerror', None) or error}") from error
        if done.returncode:
            raise KeysUnusable(f"{source} failed with exit status {done.returncode}; its own error message says why")
        return _parsed(done.stdout, source)

    def version(self) -> object:
        """See :meth:`MasterKeySource.version`."""
        return None


def master_key_source(file: Path | None, variable: str, command: str) -> MasterKeySource | None:
    """Return the source that is given; ``None`` if none is."""
    if file is not None:
        return KeyFile(file)
    if variable:
        return KeyVariable(variable)
    return KeyCommand(command) if command else None


def new_key() -> str:
    """Return a new random master key in base64, as a :class:`KeyFile` has it."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


_HOW = "make one with: openssl rand -base64 32"


def _parsed(text: bytes, source: str) -> MasterKeys:
    """Read keys from text. No message quotes it.

    Raises:
        KeysUnusable: it has no key, or something else than keys.
    """
    if len(text) > _MOST_BYTES:
        raise KeysUnusable(f"{source} is too long for a file of master keys")
    lines = [line.partition(b"#")[0] for line in text.splitlines()]
    words = [word for line in lines for word in re.split(rb"[\s,]+", line) if word]
    if not words:
        raise KeysUnusable(f"{source} has no master key; {_HOW}")
    if len(words) > _MOST_KEYS:
        raise KeysUnusable(f"{source} has more than {_MOST_KEYS} master keys")
    keys = []
    for number, word in enumerate(words, start=1):
        try:
            keys.append(MasterKey.of(base64.b64decode(word, validate=True)))
        except binascii.Error as error:
            raise KeysUnusable(f"{source}: master key {number} is not base64; {_HOW}") from error
        except KeysUnusable as error:
            raise KeysUnusable(f"{source}: master key {number}: {error}") from error
    return MasterKeys(tuple({key.id: key for key in keys}.values()), source)

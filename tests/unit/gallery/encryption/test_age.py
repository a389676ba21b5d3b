"""Files for recipients: encrypted and decrypted piece by piece, with definite errors."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from gallery.encryption import age
from gallery.encryption.age import AgeError

PIECE = bytes(range(256)) * 4096


@pytest.fixture
def public(tmp_path: Path) -> str:
    """A public key whose secret key is in identity.txt."""
    secret, public = age.new_identity()
    (tmp_path / "identity.txt").write_text(f"# mine\n{secret}\n")
    return public


def test_pieces_come_back(public: str, tmp_path: Path) -> None:
    (tmp_path / "recipients.txt").write_text(f"# us\n{public}\n")
    encrypted = io.BytesIO()
    age.encrypt([PIECE, b"", b"end"] * 5, encrypted, age.recipients_of([str(tmp_path / "recipients.txt")]))
    assert PIECE[:64] not in encrypted.getvalue()
    encrypted.seek(0)
    identities = age.identities_of(tmp_path / "identity.txt")
    pieces = list(age.decrypt(encrypted, identities))
    assert b"".join(pieces) == (PIECE + b"end") * 5
    assert max(map(len, pieces)) < 2 * len(PIECE)
    # Whoever stops reading leaves no thread waiting.
    encrypted.seek(0)
    reading = age.decrypt(encrypted, identities)
    next(reading)
    assert isinstance(reading, Iterator)
    reading.close()  # type: ignore[attr-defined]


def test_a_failure_of_the_source_or_the_target_is_raised_as_it_is(public: str) -> None:
    def interrupted() -> Iterator[bytes]:
        yield PIECE
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        age.encrypt(interrupted(), io.BytesIO(), age.recipients_of([public]))
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="No space left"):
        age.encrypt([PIECE], full, age.recipients_of([public]))


def test_a_file_that_was_changed_or_cut_off_is_refused(public: str, tmp_path: Path) -> None:
    encrypted = io.BytesIO()
    age.encrypt([PIECE], encrypted, age.recipients_of([public]))
    data = encrypted.getvalue()
    identities = age.identities_of(tmp_path / "identity.txt")
    for wrong in (
        data[:-1],
        data[:50],
        b"",
        data[:-5000] + bytes(5000),
        data + b"more",
        b"age-encryption.org/v1\n-> x",
    ):
        with pytest.raises(AgeError):
            list(age.decrypt(io.BytesIO(wrong), identities))
    other, _ = age.new_identity()
    (tmp_path / "identity.txt").write_text(other)
    with pytest.raises(AgeError, match="none of the identities"):
        list(age.decrypt(io.BytesIO(data), age.identities_of(tmp_path / "identity.txt")))


def test_wrong_keys_are_refused_and_secret_ones_are_not_quoted(public: str, tmp_path: Path) -> None:
    secret, _ = age.new_identity()
    for text in (secret, "age1xyz", "ssh-ed25519 AAAA", str(tmp_path / "nobody"), str(tmp_path), public[:-1]):
        with pytest.raises(AgeError) as refused:
            age.recipients_of([text])
        assert secret not in str(refused.value)
    (tmp_path / "wrong.txt").write_text(secret[:-3])
    (tmp_path / "empty.txt").write_text(public)
    for name in ("wrong.txt", "empty.txt", "nobody.txt"):
        with pytest.raises(AgeError) as refused:
            age.identities_of(tmp_path / name)
        assert secret[:-3] not in str(refused.value)

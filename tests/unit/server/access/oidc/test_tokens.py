"""Bearer tokens: whom they let in, and every kind of token that must not."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.utils import base64url_encode

from facet.server.access.oidc.key_set import InvalidKeySet, KeySet, parse_key_set
from facet.server.access.oidc.tokens import (
    LEEWAY_SECONDS,
    MAX_TOKEN_BYTES,
    InvalidToken,
    expiry_of,
    names_unknown_key,
    verify,
)
from tests.identity_provider import AUDIENCE, ISSUER, claims, jwk, private_key, token

KINDS = ("ES256", "ES384", "ES512", "EdDSA", "RS256")


def key_set(*keys: Any) -> KeySet:
    return parse_key_set(json.dumps({"keys": keys or [jwk("ES256", "k1")]}).encode())


def verified(text: str, keys: KeySet | None = None) -> Any:
    return verify(text, keys or key_set(), issuer=ISSUER, audience=AUDIENCE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_of_each_algorithm_is_accepted(kind: str) -> None:
    assert verified(token(kind=kind), key_set(jwk(kind, "k1")))["sub"] == "camera-7"


@pytest.mark.parametrize("kind", ["RS384", "RS512", "PS256", "PS512"])
def test_an_rsa_key_that_names_no_algorithm_verifies_those_of_rsa(kind: str) -> None:
    text = jwt.encode(claims(), private_key("RS256"), algorithm=kind, headers={"kid": "k1"})
    assert verified(text, key_set(jwk("RS256", "k1")))
    with pytest.raises(InvalidToken):
        verified(text, key_set(jwk("RS256", "k1", alg="RS256")))


def test_a_token_may_have_several_audiences_and_times_within_the_leeway() -> None:
    now = time.time()
    assert verified(token(claims(aud=["other", AUDIENCE], nbf=now + LEEWAY_SECONDS / 2, iat=None)))
    late = verified(token(claims(exp=now - LEEWAY_SECONDS / 2)))
    assert now < expiry_of(late) < now + LEEWAY_SECONDS


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": time.time() - 3600},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("nan")},
        {"exp": [1]},
        {"nbf": time.time() + 3600},
        {"nbf": "soon"},
        {"iat": time.time() + 3600},
        {"iss": "https://login.example.org/realms/other"},
        {"iss": ISSUER + "/"},
        {"iss": [ISSUER]},
        {"iss": None},
        {"aud": "another"},
        {"aud": ["another"]},
        {"aud": []},
        {"aud": AUDIENCE + "x"},
        {"aud": {AUDIENCE: 1}},
        {"aud": None},
        {"sub": None},
        {"sub": 7},
        {"sub": ["camera-7"]},
    ],
)
def test_claims_that_are_wrong_missing_or_of_another_kind_are_refused(changed: dict[str, Any]) -> None:
    assert verified(signed(claims()))
    with pytest.raises(InvalidToken):
        verified(signed({name: value for name, value in (claims() | changed).items() if value is not None}))


def signed(payload: Any) -> str:
    """A token of any payload, signed with the right key."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return jwt.api_jws.encode(data, private_key("ES256"), algorithm="ES256", headers={"kid": "k1"})


def unsigned(header: Any, payload: Any, signature: bytes = b"") -> str:
    parts = (header if isinstance(header, bytes) else json.dumps(header).encode(), payload, signature)
    return b".".join(
        base64url_encode(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in parts
    ).decode()


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None, 1, ["ES256"], {}])
def test_a_token_without_a_signature_is_refused(alg: object) -> None:
    with pytest.raises(InvalidToken):
        verified(unsigned({"alg": alg, "kid": "k1", "typ": "JWT"}, claims()))
    with pytest.raises(InvalidToken):
        verified(unsigned({"kid": "k1"}, claims()))


@pytest.mark.parametrize("kind", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_a_public_key_is_no_shared_secret(kind: str, alg: str) -> None:
    """The attack on verifiers that take the algorithm from the token: everybody knows the public key."""
    public = private_key(kind).public_key()
    for secret in (
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(jwk(kind, "k1")).encode(),
    ):
        signer = jwt.get_algorithm_by_name(alg)
        signing_input = unsigned({"alg": alg, "kid": "k1"}, claims()).rpartition(".")[0]
        signature = signer.sign(signing_input.encode(), secret)
        with pytest.raises(InvalidToken):
            verified(f"{signing_input}.{base64url_encode(signature).decode()}", key_set(jwk(kind, "k1")))


def test_another_key_another_kid_and_a_key_in_the_token_itself_are_refused() -> None:
    stranger = private_key("ES256", 1)
    forged = jwt.encode(claims(), stranger, algorithm="ES256", headers={"kid": "k1"})
    with pytest.raises(InvalidToken):
        verified(forged)
    brought = {
        "jwk": jwk("ES256", "k1", 1),
        "jku": "https://attacker.example/keys",
        "x5u": "https://attacker.example/c",
    }
    with pytest.raises(InvalidToken):
        verified(jwt.encode(claims(), stranger, algorithm="ES256", headers={"kid": "k1", **brought}))
    for kid in ("k2", "", "K1", "k1 ", "../k1", "k" * 5000):
        with pytest.raises(InvalidToken):
            verified(token(kid=kid), key_set(jwk("ES256", "k1"), jwk("ES256", "k9", 1)))
    with pytest.raises(InvalidToken):
        verified(jwt.encode(claims(), stranger, algorithm="ES256", headers={"kid": "k1", "crit": ["b64"], "b64": True}))


def test_only_a_kid_that_is_unknown_asks_for_newer_keys() -> None:
    assert names_unknown_key(token(kid="k2"), key_set())
    for text in (token(), token(kid=None), "", "a.b.c", token()[:-1], unsigned({"alg": "ES256", "kid": 7}, claims())):
        assert not names_unknown_key(text, key_set())


def test_a_token_that_names_no_key_is_accepted_if_there_is_only_one() -> None:
    assert verified(token(kid=None))
    with pytest.raises(InvalidToken):
        verified(token(kid=None), key_set(jwk("ES256", "k1"), jwk("ES256", "k2", 1)))


def test_a_token_that_was_cut_or_changed_anywhere_is_refused() -> None:
    text = token()
    for length in range(0, len(text), 7):
        with pytest.raises(InvalidToken):
            verified(text[:length])
    for place in range(0, len(text), 5):
        other = "B" if text[place] == "A" else "A"
        changed = text[:place] + other + text[place + 1 :]
        with pytest.raises(InvalidToken):
            verified(changed)
    for around in (f" {text}", f"{text} ", f"{text}.", f".{text}", f"{text}.{text}", f"{text},{text}", text + "="):
        with pytest.raises(InvalidToken):
            verified(around)


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 4000,
        b'{"a":' * 1500,
        b"[]",
        b"null",
        b'"text"',
        b"",
        b"\xff\xfe",
        b'{"exp": 1e999}',
        b'{"exp": ' + b"9" * 4500 + b"}",
        b'{"exp": NaN}',
    ],
)
def test_what_breaks_a_parser_is_refused_as_header_and_as_claims(payload: bytes) -> None:
    header = {"alg": "ES256", "kid": "k1"}
    for text in (signed(payload), unsigned(payload, claims()), unsigned(header, payload)):
        with pytest.raises(InvalidToken):
            verified(text)


def test_a_token_without_end_expires_all_the_same() -> None:
    assert expiry_of(verified(token(claims(exp=10**300)))) > time.time()


def test_a_huge_token_is_refused_before_it_is_read() -> None:
    with pytest.raises(InvalidToken, match="too long"):
        verified(token(claims(more="x" * MAX_TOKEN_BYTES)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [1, null, "a", [], {}, {"kty": []}, {"kty": "RSA"}, {"kty": "EC", "crv": "P-256", "x": ""}]}',
        b"[" * 100_000,
        b"{" + b" " * 2**20,
        b"\xff",
    ],
)
def test_what_is_no_key_set_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidKeySet):
        parse_key_set(data)


def test_keys_that_must_not_verify_tokens_are_left_out() -> None:
    secret = {"kty": "oct", "kid": "s", "k": base64.urlsafe_b64encode(b"secret" * 6).decode()}
    private = jwt.get_algorithm_by_name("ES256").to_jwk(private_key("ES256"), as_dict=True)
    weak = jwt.get_algorithm_by_name("RS256").to_jwk(private_key("RS256", -1024).public_key(), as_dict=True)
    odd = (
        jwk("ES256", "e", use="enc"),
        jwk("ES256", "o", key_ops=["encrypt"]),
        jwk("ES256", "n", key_ops=7),
        jwk("ES256", "a", alg="HS256"),
        jwk("ES256", "l", alg=["ES256"]),
        jwk("ES256", "m", alg="none"),
        jwk("RS256", "x", alg="RSA-OAEP"),
        {**jwk("ES256", ""), "kid": 7},
    )
    keys = key_set(jwk("ES256", "k1"), secret, private, weak, *odd)
    assert [key.kid for key in keys.keys] == ["k1"]


def test_two_keys_of_one_kid_are_tried_both() -> None:
    keys = key_set(jwk("ES256", "k1", 1), jwk("ES256", "k1"), jwk("EdDSA", "k1"))
    assert verified(token(), keys)
    assert verified(token(kind="EdDSA"), keys)

"""An identity provider for tests: keys, tokens that it signs, and a server of its key set on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ISSUER, AUDIENCE = "https://login.example.org/realms/site", "facet"


def private_key(kind: str, number: int = 0) -> Any:
    """A private key for an algorithm; another one for another number."""
    return _made(kind, number)


@lru_cache
def _made(kind: str, number: int) -> Any:
    if kind.startswith("ES"):
        return ec.generate_private_key(
            {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}[kind]
        )
    return ed25519.Ed25519PrivateKey.generate() if kind == "EdDSA" else rsa.generate_private_key(65537, 2048 + number)


def jwk(kind: str, kid: str, number: int = 0, **more: Any) -> dict[str, Any]:
    """The public key as a JWK."""
    public: dict[str, Any] = jwt.get_algorithm_by_name(kind).to_jwk(
        private_key(kind, number).public_key(), as_dict=True
    )
    return {name: value for name, value in public.items() if name != "key_ops"} | {"kid": kid} | more


def claims(**changed: Any) -> dict[str, Any]:
    """Those of a camera that may identify people in all galleries; ``None`` leaves one out."""
    now = time.time()
    given = {"iss": ISSUER, "aud": AUDIENCE, "sub": "camera-7", "iat": now, "exp": now + 600}
    given |= {"scope": "openid facet:recognize", "facet_galleries": ["*"]} | changed
    return {name: value for name, value in given.items() if value is not None}


def token(
    payload: Mapping[str, Any] | None = None,
    *,
    kind: str = "ES256",
    kid: str | None = "k1",
    number: int = 0,
    **header: Any,
) -> str:
    """A token of these claims, signed with :func:`private_key`."""
    headers = header if kid is None else {"kid": kid} | header
    given = claims() if payload is None else dict(payload)
    return jwt.encode(given, private_key(kind, number), algorithm=kind, headers=headers)


@dataclass
class Provider:
    """A server of a key set.

    Attributes:
        url: of the key set.
        keys: what it serves, as JWKs; anything else is served as it is.
        asked: how often it was asked.
        may_answer: not set while it does not answer.
        status: what it answers.
    """

    url: str = ""
    keys: Any = None
    asked: int = 0
    may_answer: threading.Event = field(default_factory=threading.Event)
    status: int = 200


@contextmanager
def serving(*keys: dict[str, Any]) -> Iterator[Provider]:
    """Serve a key set on loopback."""
    provider = Provider(keys=list(keys))
    provider.may_answer.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked += 1
            provider.may_answer.wait(60)
            served = provider.keys
            data = served if isinstance(served, bytes) else json.dumps({"keys": served}).encode()
            self.send_response(provider.status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    provider.url = f"http://127.0.0.1:{server.server_port}/keys"
    try:
        yield provider
    finally:
        provider.may_answer.set()
        server.shutdown()
        server.server_close()
        thread.join()

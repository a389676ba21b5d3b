"""``facet certs show``: whose certificate a file holds, who signed it, and until when it is valid."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from facet.cli.certs.authority import is_signed_by
from facet.server.tls.unreadable import UNREADABLE, extensions_of
from facet.terminal import console
from facet.terminal.tables import listing

_PURPOSES = {ExtendedKeyUsageOID.SERVER_AUTH: "server", ExtendedKeyUsageOID.CLIENT_AUTH: "client"}
_MATCHES, _DIFFERS, _UNREADABLE = "matches", "is of another certificate", "is encrypted or no private key in PEM"


def show(
    file: Annotated[Path, typer.Argument(help="PEM file with a certificate, a chain or a bundle of CAs.")],
    key: Annotated[
        Path | None,
        typer.Option(help="Its private key; by default the file with the ending .key, if there is one."),
    ] = None,
    ca: Annotated[
        Path | None, typer.Option("--ca", help="PEM file of CAs: has one of them signed it?", show_default=False)
    ] = None,
    as_json: console.AsJson = False,
) -> None:
    """Show whose certificate a file holds, what it is for, until when it is valid, and whether a key fits.

    [b]Examples[/b]

      facet certs show certs/server.pem
      facet certs show server.pem --key server.key --ca ca.pem

    With [b]--json[/b]: [i]file[/i], [i]certificates[/i] with [i]subject[/i], [i]names[/i], [i]issuer[/i],
    [i]purposes[/i], [i]valid_from[/i], [i]valid_until[/i], [i]state[/i] and [i]sha256[/i]; [i]key[/i] and
    [i]signed_by_ca[/i] are null if there was nothing to compare with.

    Exit code: 0 all is well, 1 it is not valid now, the key does not fit, or the CA has not signed it, 2 bad usage.
    """
    certificates = _read(file)
    now = datetime.now(UTC)
    beside = file.with_suffix(".key")
    key = key or (beside if beside != file and beside.is_file() else None)
    fits = None if key is None else _fit(key, certificates[0])
    chain = certificates[1:]
    signed = (
        None
        if ca is None
        else any(is_signed_by(each, issuer) for issuer in _read(ca) for each in (certificates[0], *chain))
    )
    found = [_described(each, now) for each in certificates]
    if as_json:
        compared = None if key is None else {"file": str(key), "matches": fits == _MATCHES}
        console.print_json({"file": str(file), "certificates": found, "key": compared, "signed_by_ca": signed})
    else:
        for each in found:
            console.out.print(_rows(each))
        if key is not None:
            console.out.print(f"the key {key} {fits}")
        if ca is not None:
            console.out.print(f"{ca} has {'' if signed else 'not '}signed it")
    is_well = found[0]["state"] == "valid" and fits in (None, _MATCHES) and signed in (None, True)
    raise typer.Exit(console.DONE if is_well else console.FAILED)


def _read(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except OSError as error:
        console.fail(f"cannot read {file}: {error.strerror}", console.USAGE)
    except UNREADABLE:
        console.fail(f"{file} holds no certificate in PEM", console.USAGE)


def _fit(key: Path, certificate: x509.Certificate) -> str:
    """Whether a key is that of a certificate, in words."""
    try:
        private = load_pem_private_key(key.read_bytes(), password=None)
    except OSError as error:
        console.fail(f"cannot read {key}: {error.strerror}", console.USAGE)
    except UNREADABLE:
        return _UNREADABLE
    return _MATCHES if private.public_key() == certificate.public_key() else _DIFFERS


def _described(certificate: x509.Certificate, now: datetime) -> dict[str, Any]:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    state = "expired" if now >= end else "valid" if now >= start else "not valid yet"
    return {
        "subject": certificate.subject.rfc4514_string(),
        "names": _names(certificate),
        "issuer": certificate.issuer.rfc4514_string(),
        "purposes": _purposes(certificate),
        "valid_from": start.isoformat(timespec="seconds"),
        "valid_until": end.isoformat(timespec="seconds"),
        "state": state,
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
    }


def _names(certificate: x509.Certificate) -> list[str]:
    extensions = extensions_of(certificate) or ()
    given = [each.value for each in extensions if isinstance(each.value, x509.SubjectAlternativeName)]
    return [str(name.value) for names in given for name in names]


def _purposes(certificate: x509.Certificate) -> list[str]:
    """What a certificate is for: "CA", "server", "client"; all but a CA if it does not say."""
    extensions = extensions_of(certificate)
    if extensions is None:
        return []
    found = []
    for each in extensions:
        if isinstance(each.value, x509.BasicConstraints) and each.value.ca:
            found.append("CA")
        elif isinstance(each.value, x509.ExtendedKeyUsage):
            found += [_PURPOSES.get(usage, usage.dotted_string) for usage in each.value]
    return found or ["server", "client"]


def _rows(described: dict[str, Any]) -> Any:
    rows = listing()
    rows.add_row("subject", described["subject"])
    rows.add_row("names", ", ".join(described["names"]) or "none")
    rows.add_row("signed by", described["issuer"])
    rows.add_row("for", ", ".join(described["purposes"]))
    rows.add_row("valid", f"{described['valid_from']} to {described['valid_until']}: {described['state']}")
    rows.add_row("SHA-256", described["sha256"])
    return rows

"""What helps when the first connection to PostgreSQL fails.

A failed connection has no SQLSTATE in libpq: its cause is known by its text, unless the server speaks another language.
"""

from __future__ import annotations

import re

_URL = "gallery.postgres_url"
_PLACE = f"the host and port in {_URL}"
_RULES = "its pg_hba.conf must let in this user and machine"
_ELSE = f"check that it runs, and {_URL} with its password"
_REMEDIES = (
    ("password authentication failed", f"the user or the password is wrong, check both in {_URL}"),
    ("no password supplied", f"name the password in {_URL}, in PGPASSWORD, or in a file that PGPASSFILE names"),
    ('role ".*" does not exist', f"create the role, or name another user in {_URL}"),
    ("is not permitted to log in", "let the role log in: ALTER ROLE ... LOGIN"),
    ('database ".*" does not exist', f"create the database, or name another one in {_URL}"),
    ("permission denied for database", "grant the role CONNECT and CREATE on the database"),
    ("pg_hba.conf .*no encryption", f"{_RULES}; if only by TLS, add ?sslmode=require to {_URL}"),
    ("pg_hba.conf", _RULES),
    ("too many|connection slots", "lower gallery.postgres_connections of all servers, or raise its limit"),
    ("starting up|shutting down|recovery mode|accepting connections", "try again once it accepts connections"),
    ("does not support SSL", f"switch TLS on in the database, or remove sslmode from {_URL}"),
    ("certificate", f"check sslrootcert and the host in {_URL}, and the certificate of the database"),
    ("resolve host|translate host name", f"check the name of the host in {_URL}"),
    ("timeout expired|No route|unreachable", f"check that it runs, that a firewall lets this machine in, and {_PLACE}"),
    ("refused|No such file|reset by peer|closed the connection", f"check that it runs, and {_PLACE}"),
    ("invalid response", f"what answers is not PostgreSQL, check {_PLACE}"),
    ("session is not read-only|not in hot standby", f"name target_session_attrs=read-write in {_URL}"),
    ("read-only|standby", f"none of the hosts takes changes, name the primary in {_URL}"),
    ("^invalid", f"check {_URL}"),
)


def remedy(failure: str) -> str:
    """Return what helps against the failure of a first connection."""
    return next((help_ for pattern, help_ in _REMEDIES if re.search(pattern, failure)), _ELSE)

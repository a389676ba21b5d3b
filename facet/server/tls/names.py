"""The names in certificates by which clients are known: those of the subjectAltName (RFC 5280, section 4.2.1.6)."""

from __future__ import annotations

import re

HOST = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
"""A DNS name, in lower case."""
URI = re.compile(r"[a-z][a-z0-9+.-]*:[!-~]+", re.IGNORECASE)
"""A URI. No text is both."""

"""Errors of the audit log: why a server does not start with it.

AuditError
    AuditBusy
    AuditKeyError
"""

from __future__ import annotations


class AuditError(Exception):
    """The audit log cannot be used; says what to do."""


class AuditBusy(AuditError):
    """Another server writes to the log."""


class AuditKeyError(AuditError):
    """The audit key is missing, unreadable, or not the one that the log was written with."""

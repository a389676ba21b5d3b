"""Opens the audit log that the configuration names, and notes that the server starts and stops."""

from __future__ import annotations

import hashlib
import json

from facet import __version__
from facet.server.audit.chain.files import default_head, default_key
from facet.server.audit.chain.log import LogSettings
from facet.server.audit.trail import AuditTrail
from facet.server.config import Config, dump


def open_trail(config: Config) -> AuditTrail | None:
    """Open the audit log; ``None`` if the configuration has none.

    Raises:
        AuditError: it cannot be written, another server writes to it, or its key is missing or another one.
    """
    audit = config.audit
    if audit.folder is None:
        return None
    settings = LogSettings(
        folder=audit.folder,
        head=audit.head or default_head(audit.folder),
        key_file=audit.key_file or default_key(audit.folder),
        fsync=audit.fsync,
        max_file_bytes=audit.max_file_bytes,
        keep_files=audit.keep_files,
        keep_days=audit.keep_days,
    )
    return AuditTrail(settings, fsync_seconds=audit.fsync_seconds, subject_ids=audit.subject_ids)


def note_start(trail: AuditTrail, config: Config) -> None:
    """Note that the server serves, with the digest of its configuration, in which secrets are masked."""
    said = json.dumps(dump(config), sort_keys=True, default=str)
    digest = hashlib.sha256(said.encode()).hexdigest()
    trail.note("started", version=__version__, configuration=digest, subject_ids=config.audit.subject_ids)


def note_stop(trail: AuditTrail) -> None:
    """Note that the server stops, after its last call and what was counted until then."""
    trail.writer.flush()
    trail.note("stopped")

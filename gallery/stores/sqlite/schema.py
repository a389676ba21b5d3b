"""The schema of the SQLite store, and the migrations from one version to the next."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gallery.errors import SchemaTooNew, StorageUnavailable

APPLICATION_ID = 0x46414345
"""Identifies the file in its header: "FACE"."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE galleries (
            key INTEGER PRIMARY KEY,
            gallery_id TEXT NOT NULL UNIQUE,
            display_name TEXT NOT NULL,
            threshold REAL NOT NULL,
            contract TEXT NOT NULL,
            create_time INTEGER NOT NULL,
            update_time INTEGER NOT NULL,
            etag TEXT NOT NULL
        ) STRICT""",
        """CREATE TABLE subjects (
            key INTEGER PRIMARY KEY,
            gallery_key INTEGER NOT NULL REFERENCES galleries ON DELETE CASCADE,
            subject_id TEXT NOT NULL,
            display_name TEXT NOT NULL,
            create_time INTEGER NOT NULL,
            update_time INTEGER NOT NULL,
            etag TEXT NOT NULL,
            UNIQUE (gallery_key, subject_id)
        ) STRICT""",
        """CREATE TABLE templates (
            key INTEGER PRIMARY KEY,
            gallery_key INTEGER NOT NULL REFERENCES galleries ON DELETE CASCADE,
            subject_key INTEGER NOT NULL REFERENCES subjects ON DELETE CASCADE,
            template_id TEXT NOT NULL,
            picture_sha256 TEXT NOT NULL,
            x1 REAL NOT NULL,
            y1 REAL NOT NULL,
            x2 REAL NOT NULL,
            y2 REAL NOT NULL,
            quality REAL NOT NULL,
            create_time INTEGER NOT NULL,
            embedding BLOB NOT NULL,
            UNIQUE (gallery_key, template_id)
        ) STRICT""",
        "CREATE INDEX templates_of_subject ON templates (subject_key, template_id)",
        """CREATE TABLE requests (
            gallery_key INTEGER NOT NULL REFERENCES galleries ON DELETE CASCADE,
            request_id TEXT NOT NULL,
            digest TEXT NOT NULL,
            template_key INTEGER NOT NULL REFERENCES templates ON DELETE CASCADE,
            PRIMARY KEY (gallery_key, request_id)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX requests_of_template ON requests (template_key)",
    ),
    (
        "ALTER TABLE galleries ADD COLUMN mean_of_best INTEGER NOT NULL DEFAULT 1",
        # Being imported or removed: invisible, with a random id.
        "ALTER TABLE galleries ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0",
        # Counted as they are added and removed: counting a million rows takes too long for a request.
        "ALTER TABLE galleries ADD COLUMN subject_count INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE galleries ADD COLUMN template_count INTEGER NOT NULL DEFAULT 0",
        """UPDATE galleries SET
            subject_count = (SELECT COUNT(*) FROM subjects WHERE gallery_key = galleries.key),
            template_count = (SELECT COUNT(*) FROM templates WHERE gallery_key = galleries.key)""",
        "CREATE TABLE models (key INTEGER PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE) STRICT",
        "ALTER TABLE templates ADD COLUMN face_model INTEGER REFERENCES models",
        "ALTER TABLE templates ADD COLUMN embedding_model INTEGER REFERENCES models",
        # For reading a gallery in the order of its rows on disk.
        "CREATE INDEX templates_of_gallery ON templates (gallery_key)",
        """CREATE TABLE crops (
            template_key INTEGER PRIMARY KEY REFERENCES templates ON DELETE CASCADE,
            png BLOB NOT NULL
        ) STRICT""",
    ),
    # JSON, see gallery.records.calibration_json; empty if the gallery was never calibrated.
    ("ALTER TABLE galleries ADD COLUMN calibration TEXT NOT NULL DEFAULT ''",),
    # A value of gallery.records.thresholds.ThresholdSource; empty until it is inferred for galleries of older versions.
    ("ALTER TABLE galleries ADD COLUMN threshold_source TEXT NOT NULL DEFAULT ''",),
    # One row, which each opening replaces; see gallery.stores.sqlite.file.opening_token.
    ("CREATE TABLE opening (key INTEGER PRIMARY KEY, token BLOB NOT NULL) STRICT",),
    # Consent, expiry and retention. Times and durations are microseconds, NULL for none; the basis is a value of
    # gallery.records.consents.ConsentBasis, empty for no consent.
    (
        "ALTER TABLE galleries ADD COLUMN require_consent INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE galleries ADD COLUMN subject_retention INTEGER",
        "ALTER TABLE galleries ADD COLUMN template_retention INTEGER",
        "ALTER TABLE subjects ADD COLUMN consent_basis TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE subjects ADD COLUMN consent_reference TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE subjects ADD COLUMN consent_time INTEGER",
        "ALTER TABLE subjects ADD COLUMN expire_time INTEGER",
        "ALTER TABLE templates ADD COLUMN expire_time INTEGER",
        # For finding what has expired: by its own time, and by its age; see gallery.stores.sqlite.expiry.
        "CREATE INDEX subjects_by_expiry ON subjects (gallery_key, expire_time) WHERE expire_time IS NOT NULL",
        "CREATE INDEX templates_by_expiry ON templates (gallery_key, expire_time) WHERE expire_time IS NOT NULL",
        """CREATE INDEX subjects_by_age ON subjects
            (gallery_key, MAX(create_time, COALESCE(consent_time, create_time)))""",
        "CREATE INDEX templates_by_age ON templates (gallery_key, create_time)",
        # With the times, the templates of a subject are counted without reading their embeddings.
        "DROP INDEX templates_of_subject",
        "CREATE INDEX templates_of_subject ON templates (subject_key, template_id, create_time, expire_time)",
    ),
    (
        # Records of erasures, without personal data. The key is that of a gallery that is still being removed.
        """CREATE TABLE erasures (
            erasure_id TEXT PRIMARY KEY,
            gallery_id TEXT NOT NULL,
            subject_hash TEXT NOT NULL,
            cause TEXT NOT NULL,
            subjects INTEGER NOT NULL,
            templates INTEGER NOT NULL,
            crops INTEGER NOT NULL DEFAULT 0,
            requests INTEGER NOT NULL DEFAULT 0,
            erase_time INTEGER NOT NULL,
            gone_time INTEGER,
            outcome TEXT NOT NULL DEFAULT '',
            values_searched INTEGER NOT NULL DEFAULT 0,
            values_kept INTEGER NOT NULL DEFAULT 0,
            bytes_searched INTEGER NOT NULL DEFAULT 0,
            bytes_present INTEGER NOT NULL DEFAULT 0,
            other_files INTEGER NOT NULL DEFAULT 0,
            key_destroyed INTEGER NOT NULL DEFAULT 0,
            gallery_key INTEGER
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX erasures_under_way ON erasures (erasure_id) WHERE outcome = ''",
        "CREATE INDEX erasures_of_subject ON erasures (gallery_id, subject_hash)",
        # One row: the key of the hashes of subjects.
        "CREATE TABLE erasure_key (key INTEGER PRIMARY KEY, secret BLOB NOT NULL) STRICT",
        "INSERT INTO erasure_key (key, secret) VALUES (1, randomblob(32))",
    ),
    (
        # One row if the database is encrypted: the id by which it knows its key file.
        "CREATE TABLE encryption (key INTEGER PRIMARY KEY, database_id TEXT NOT NULL) STRICT",
        # The gallery's id in the key file, and the id of the data key that seals all its values; empty if none. While
        # it is being sealed, the ids of all data keys that its values may be sealed under, with "-" for none.
        "ALTER TABLE galleries ADD COLUMN data_keys TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE galleries ADD COLUMN sealed_under TEXT NOT NULL DEFAULT ''",
    ),
    (
        # 32 bytes in hexadecimal digits, which seal the ids of answers; empty until they are first needed.
        "ALTER TABLE galleries ADD COLUMN answer_key TEXT NOT NULL DEFAULT ''",
        # What clients said about answers. They name subjects by keys only, so that nobody stays named who is deleted.
        """CREATE TABLE outcomes (
            key INTEGER PRIMARY KEY,
            gallery_key INTEGER NOT NULL REFERENCES galleries ON DELETE CASCADE,
            nonce BLOB NOT NULL,
            answer_time INTEGER NOT NULL,
            decision TEXT NOT NULL,
            subject_key INTEGER REFERENCES subjects ON DELETE SET NULL,
            similarity REAL,
            margin REAL,
            threshold REAL NOT NULL,
            source TEXT NOT NULL,
            review_share REAL,
            is_right INTEGER NOT NULL,
            truth TEXT NOT NULL,
            truth_key INTEGER REFERENCES subjects ON DELETE SET NULL,
            report_time INTEGER NOT NULL,
            is_forgotten INTEGER NOT NULL DEFAULT 0,
            UNIQUE (gallery_key, nonce)
        ) STRICT""",
        "CREATE INDEX outcomes_of_gallery ON outcomes (gallery_key, key)",
        "CREATE INDEX outcomes_of_subject ON outcomes (subject_key) WHERE subject_key IS NOT NULL",
        "CREATE INDEX outcomes_of_truth ON outcomes (truth_key) WHERE truth_key IS NOT NULL",
        # Runs when a subject is deleted: what stays is a count.
        """CREATE TRIGGER outcomes_forgotten AFTER UPDATE OF subject_key, truth_key ON outcomes BEGIN
            UPDATE outcomes SET
                subject_key = NULL, truth_key = NULL, similarity = NULL, margin = NULL, is_forgotten = 1,
                answer_time = strftime('%s', answer_time / 1000000, 'unixepoch', 'start of month') * 1000000,
                report_time = strftime('%s', report_time / 1000000, 'unixepoch', 'start of month') * 1000000
            WHERE key = NEW.key AND NOT is_forgotten;
        END""",
    ),
    (
        # Subjects that were told apart; the lower key comes first.
        """CREATE TABLE distinct_pairs (
            gallery_key INTEGER NOT NULL REFERENCES galleries ON DELETE CASCADE,
            one_key INTEGER NOT NULL REFERENCES subjects ON DELETE CASCADE,
            other_key INTEGER NOT NULL REFERENCES subjects ON DELETE CASCADE,
            PRIMARY KEY (gallery_key, one_key, other_key)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX distinct_pairs_of_one ON distinct_pairs (one_key)",
        "CREATE INDEX distinct_pairs_of_other ON distinct_pairs (other_key)",
    ),
    (
        # Counts of searches by hour or day, in microseconds; see gallery.observations.counts_json.
        """CREATE TABLE observations (
            key INTEGER PRIMARY KEY,
            gallery_key INTEGER NOT NULL REFERENCES galleries ON DELETE CASCADE,
            source TEXT NOT NULL,
            start INTEGER NOT NULL,
            span INTEGER NOT NULL,
            counts BLOB NOT NULL,
            UNIQUE (gallery_key, start, source, span)
        ) STRICT""",
        "CREATE INDEX observations_by_span ON observations (gallery_key, span, start, source)",
    ),
    (
        # Corrections that can be undone, see gallery.corrections.change_json. They go with the subjects that they are
        # about. The text and the request id are erased when the time is up.
        """CREATE TABLE changes (
            key INTEGER PRIMARY KEY,
            gallery_key INTEGER NOT NULL REFERENCES galleries ON DELETE CASCADE,
            change_id TEXT NOT NULL,
            request_id TEXT NOT NULL,
            one_key INTEGER NOT NULL REFERENCES subjects ON DELETE CASCADE,
            other_key INTEGER REFERENCES subjects ON DELETE CASCADE,
            undo_until INTEGER NOT NULL,
            text TEXT NOT NULL,
            UNIQUE (gallery_key, change_id)
        ) STRICT""",
        "CREATE UNIQUE INDEX changes_by_request ON changes (gallery_key, request_id) WHERE request_id != ''",
        "CREATE INDEX changes_of_one ON changes (one_key)",
        "CREATE INDEX changes_of_other ON changes (other_key) WHERE other_key IS NOT NULL",
        "CREATE INDEX changes_to_erase ON changes (gallery_key, undo_until) WHERE text != ''",
    ),
    (
        # A keyed digest of the caller who said it; see OutcomeTable.
        "ALTER TABLE outcomes ADD COLUMN reporter TEXT NOT NULL DEFAULT ''",
    ),
    (
        # Reference periods of observations that somebody has begun; of all sources if the source is empty.
        """CREATE TABLE reference_starts (
            gallery_key INTEGER NOT NULL REFERENCES galleries ON DELETE CASCADE,
            source TEXT NOT NULL,
            start INTEGER NOT NULL,
            PRIMARY KEY (gallery_key, source)
        ) STRICT, WITHOUT ROWID""",
    ),
    (
        # Embedding contracts beside the one that a gallery was created with; see
        # gallery.stores.sqlite.contract_keys.
        "CREATE TABLE contracts (key INTEGER PRIMARY KEY, contract TEXT NOT NULL UNIQUE) STRICT",
        "ALTER TABLE galleries ADD COLUMN first_contract TEXT NOT NULL DEFAULT ''",
        "UPDATE galleries SET first_contract = contract",
        # JSON, see gallery.records.migration_json; empty if the gallery is not being migrated.
        "ALTER TABLE galleries ADD COLUMN migration TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE templates ADD COLUMN contract_key INTEGER REFERENCES contracts",
        # The embeddings of templates under the other contract of a migration.
        """CREATE TABLE second_embeddings (
            template_key INTEGER PRIMARY KEY REFERENCES templates ON DELETE CASCADE,
            gallery_key INTEGER NOT NULL REFERENCES galleries ON DELETE CASCADE,
            contract_key INTEGER REFERENCES contracts,
            embedding BLOB NOT NULL
        ) STRICT""",
        "CREATE INDEX second_embeddings_of_gallery ON second_embeddings (gallery_key)",
    ),
    (
        # The embedding contract of the model that gave the answer; empty if it is not known. What was said before is
        # about the only model that its gallery had, unless that has been migrated.
        "ALTER TABLE outcomes ADD COLUMN contract TEXT NOT NULL DEFAULT ''",
        """UPDATE outcomes SET contract = galleries.contract FROM galleries
            WHERE galleries.key = gallery_key AND galleries.contract = first_contract AND migration = ''""",
    ),
)
"""The statements from each schema version to the next; the first make version 1 from nothing."""

FIRST_ENCRYPTED = 8
"""The first schema version of databases that may be encrypted."""
FIRST_WITH_CONTRACTS = 15
"""The first schema version of galleries that may have embeddings of two contracts."""


def schema_version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the schema version of a database; 0 if it is empty.

    Raises:
        SchemaTooNew: a newer version of this program wrote it.
        StorageUnavailable: it is a database of something else.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (objects,) = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
    is_new = (version, application, objects) == (0, 0, 0)
    if not is_new and application != APPLICATION_ID:
        raise StorageUnavailable(f"{path} is a database, but not one of galleries")
    if version > len(MIGRATIONS):
        raise SchemaTooNew(str(path), version, len(MIGRATIONS))
    return int(version)


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Migrate a database from a version to the newest; each step is one transaction."""
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")

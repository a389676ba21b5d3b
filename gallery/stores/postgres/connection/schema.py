"""The schema of the PostgreSQL store, and the migrations from one version to the next.

Times and durations are microseconds, as :mod:`gallery.times` has them; embeddings are little-endian float32. Ids are
compared by code point: the collation "C" does that in a database whose encoding is UTF-8.
"""

from __future__ import annotations

_PERSONAL = (
    *("subjects", "templates", "embeddings", "crops", "requests"),
    *("outcomes", "distinct_pairs", "changes", "revisions"),
)
"""The tables with rows about people."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # One row.
        "CREATE TABLE facet (key BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (key), version INTEGER NOT NULL)",
        "INSERT INTO facet (version) VALUES (0)",
        # Digests of models, and embedding contracts.
        "CREATE TABLE models (key INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE)",
        "CREATE TABLE contracts (key INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY, contract TEXT NOT NULL UNIQUE)",
        """CREATE TABLE galleries (
            key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            gallery_id TEXT COLLATE "C" NOT NULL UNIQUE,
            display_name TEXT NOT NULL,
            threshold DOUBLE PRECISION NOT NULL,
            -- A value of gallery.records.thresholds.ThresholdSource.
            threshold_source TEXT NOT NULL,
            mean_of_best INTEGER NOT NULL,
            -- The contract that searches, and the other one of its migration until that ends.
            contract_key INTEGER NOT NULL REFERENCES contracts,
            other_key INTEGER REFERENCES contracts,
            create_time BIGINT NOT NULL,
            update_time BIGINT NOT NULL,
            etag TEXT NOT NULL,
            -- JSON, see gallery.records.calibration_json; empty if the gallery was never calibrated.
            calibration TEXT NOT NULL,
            -- JSON, see gallery.records.migration_json; empty if the gallery is not being migrated.
            migration TEXT NOT NULL,
            require_consent BOOLEAN NOT NULL,
            subject_retention BIGINT,
            template_retention BIGINT,
            -- 32 bytes that seal the ids of answers; empty until they are first needed.
            answer_key BYTEA NOT NULL DEFAULT '',
            -- Corrections and undoings that were ever made.
            corrections BIGINT NOT NULL DEFAULT 0,
            -- Being removed: invisible, with a random id.
            is_hidden BOOLEAN NOT NULL DEFAULT FALSE
        )""",
        """CREATE TABLE subjects (
            key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            gallery_key BIGINT NOT NULL REFERENCES galleries ON DELETE CASCADE,
            subject_id TEXT COLLATE "C" NOT NULL,
            display_name TEXT NOT NULL,
            create_time BIGINT NOT NULL,
            update_time BIGINT NOT NULL,
            etag TEXT NOT NULL,
            -- A value of gallery.records.consents.ConsentBasis; empty for no consent.
            consent_basis TEXT NOT NULL,
            consent_reference TEXT NOT NULL,
            consent_time BIGINT,
            expire_time BIGINT,
            UNIQUE (gallery_key, subject_id)
        )""",
        "CREATE INDEX subjects_by_expiry ON subjects (gallery_key, expire_time) WHERE expire_time IS NOT NULL",
        """CREATE INDEX subjects_by_age ON subjects
            (gallery_key, GREATEST(create_time, COALESCE(consent_time, create_time)))""",
        """CREATE TABLE templates (
            key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            gallery_key BIGINT NOT NULL REFERENCES galleries ON DELETE CASCADE,
            subject_key BIGINT NOT NULL REFERENCES subjects ON DELETE CASCADE,
            template_id TEXT COLLATE "C" NOT NULL,
            picture_sha256 TEXT NOT NULL,
            x1 DOUBLE PRECISION NOT NULL,
            y1 DOUBLE PRECISION NOT NULL,
            x2 DOUBLE PRECISION NOT NULL,
            y2 DOUBLE PRECISION NOT NULL,
            quality DOUBLE PRECISION NOT NULL,
            create_time BIGINT NOT NULL,
            expire_time BIGINT,
            face_model INTEGER REFERENCES models,
            embedding_model INTEGER REFERENCES models,
            UNIQUE (gallery_key, template_id)
        )""",
        "CREATE INDEX templates_of_subject ON templates (subject_key, template_id)",
        # For reading a gallery in the order in which its templates were added.
        "CREATE INDEX templates_of_gallery ON templates (gallery_key, key)",
        "CREATE INDEX templates_by_expiry ON templates (gallery_key, expire_time) WHERE expire_time IS NOT NULL",
        "CREATE INDEX templates_by_age ON templates (gallery_key, create_time)",
        # A template has one during most of its life, and two during a migration. They are read in the order of their
        # templates, a million at a time, so they stay in the rows and are not compressed.
        """CREATE TABLE embeddings (
            template_key BIGINT NOT NULL REFERENCES templates ON DELETE CASCADE,
            contract_key INTEGER NOT NULL REFERENCES contracts,
            embedding BYTEA NOT NULL,
            PRIMARY KEY (template_key, contract_key)
        ) WITH (toast_tuple_target = 8160)""",
        "ALTER TABLE embeddings ALTER COLUMN embedding SET STORAGE MAIN",
        """CREATE TABLE crops (
            template_key BIGINT PRIMARY KEY REFERENCES templates ON DELETE CASCADE,
            png BYTEA NOT NULL
        )""",
        "ALTER TABLE crops ALTER COLUMN png SET STORAGE EXTERNAL",
        """CREATE TABLE requests (
            gallery_key BIGINT NOT NULL REFERENCES galleries ON DELETE CASCADE,
            request_id TEXT COLLATE "C" NOT NULL,
            digest TEXT NOT NULL,
            template_key BIGINT NOT NULL REFERENCES templates ON DELETE CASCADE,
            PRIMARY KEY (gallery_key, request_id)
        )""",
        "CREATE INDEX requests_of_template ON requests (template_key)",
        # A row for every change of a gallery that a search may notice, the last ones at least; see
        # gallery.stores.postgres.feed. Enrolments only add to it: each new version of a row that they changed would
        # stay while a long transaction reads, such as a backup, and every enrolment would look through them.
        """CREATE TABLE revisions (
            gallery_key BIGINT NOT NULL REFERENCES galleries ON DELETE CASCADE,
            revision BIGINT NOT NULL,
            -- Differs from that of another change with the same number, if the first one was lost in a failover.
            token UUID NOT NULL DEFAULT gen_random_uuid(),
            time BIGINT NOT NULL,
            -- Counted as they are added and removed: counting a million rows takes too long for a request.
            subject_count BIGINT NOT NULL,
            template_count BIGINT NOT NULL,
            -- The subjects that have changed; an empty id stands for the gallery itself. NULL when that is forgotten.
            subject_ids TEXT[] COLLATE "C",
            PRIMARY KEY (gallery_key, revision)
        )""",
        "CREATE INDEX revisions_by_time ON revisions (time)",
        # What clients said about answers. They name subjects by keys only, so that nobody stays named who is deleted.
        """CREATE TABLE outcomes (
            key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            gallery_key BIGINT NOT NULL REFERENCES galleries ON DELETE CASCADE,
            nonce BYTEA NOT NULL,
            answer_time BIGINT NOT NULL,
            decision TEXT NOT NULL,
            subject_key BIGINT REFERENCES subjects ON DELETE SET NULL,
            similarity DOUBLE PRECISION,
            margin DOUBLE PRECISION,
            threshold DOUBLE PRECISION NOT NULL,
            source TEXT NOT NULL,
            review_share DOUBLE PRECISION,
            -- The embedding contract of the model that gave the answer; empty if it is not known.
            contract TEXT NOT NULL,
            is_right BOOLEAN NOT NULL,
            truth TEXT NOT NULL,
            truth_key BIGINT REFERENCES subjects ON DELETE SET NULL,
            report_time BIGINT NOT NULL,
            is_forgotten BOOLEAN NOT NULL,
            -- A keyed digest of the caller who said it.
            reporter TEXT NOT NULL,
            UNIQUE (gallery_key, nonce)
        )""",
        "CREATE INDEX outcomes_of_gallery ON outcomes (gallery_key, key)",
        "CREATE INDEX outcomes_of_subject ON outcomes (subject_key) WHERE subject_key IS NOT NULL",
        "CREATE INDEX outcomes_of_truth ON outcomes (truth_key) WHERE truth_key IS NOT NULL",
        # Runs when a subject is deleted: what stays is a count.
        """CREATE FUNCTION forget_outcome() RETURNS TRIGGER LANGUAGE plpgsql AS $$
            BEGIN
                IF NOT OLD.is_forgotten AND (
                    (OLD.subject_key IS NOT NULL AND NEW.subject_key IS NULL)
                    OR (OLD.truth_key IS NOT NULL AND NEW.truth_key IS NULL)
                ) THEN
                    NEW.subject_key = NULL;
                    NEW.truth_key = NULL;
                    NEW.similarity = NULL;
                    NEW.margin = NULL;
                    NEW.is_forgotten = TRUE;
                    NEW.answer_time = start_of_month(NEW.answer_time);
                    NEW.report_time = start_of_month(NEW.report_time);
                END IF;
                RETURN NEW;
            END $$""",
        """CREATE FUNCTION start_of_month(microseconds BIGINT) RETURNS BIGINT LANGUAGE sql STABLE AS $$
            SELECT 1000000 * EXTRACT(EPOCH FROM date_trunc(
                'month', to_timestamp(floor(microseconds / 1000000.0)), 'UTC'
            ))::BIGINT $$""",
        """CREATE TRIGGER outcomes_forgotten BEFORE UPDATE ON outcomes
            FOR EACH ROW EXECUTE FUNCTION forget_outcome()""",
        # Subjects that were told apart; the lower key comes first.
        """CREATE TABLE distinct_pairs (
            gallery_key BIGINT NOT NULL REFERENCES galleries ON DELETE CASCADE,
            one_key BIGINT NOT NULL REFERENCES subjects ON DELETE CASCADE,
            other_key BIGINT NOT NULL REFERENCES subjects ON DELETE CASCADE,
            PRIMARY KEY (gallery_key, one_key, other_key),
            CHECK (one_key < other_key)
        )""",
        "CREATE INDEX distinct_pairs_of_one ON distinct_pairs (one_key)",
        "CREATE INDEX distinct_pairs_of_other ON distinct_pairs (other_key)",
        # Counts of searches by hour or day; see gallery.observations.counts_json.
        """CREATE TABLE observations (
            gallery_key BIGINT NOT NULL REFERENCES galleries ON DELETE CASCADE,
            source TEXT COLLATE "C" NOT NULL,
            start BIGINT NOT NULL,
            span BIGINT NOT NULL,
            counts BYTEA NOT NULL,
            PRIMARY KEY (gallery_key, start, source, span)
        )""",
        "CREATE INDEX observations_by_span ON observations (gallery_key, span, start, source)",
        # Reference periods of observations that somebody has begun; of all sources if the source is empty.
        """CREATE TABLE reference_starts (
            gallery_key BIGINT NOT NULL REFERENCES galleries ON DELETE CASCADE,
            source TEXT COLLATE "C" NOT NULL,
            start BIGINT NOT NULL,
            PRIMARY KEY (gallery_key, source)
        )""",
        # Corrections that can be undone, see gallery.corrections.change_json. They go with the subjects that they are
        # about. The text and the request id are erased when the time is up.
        """CREATE TABLE changes (
            gallery_key BIGINT NOT NULL REFERENCES galleries ON DELETE CASCADE,
            change_id TEXT COLLATE "C" NOT NULL,
            request_id TEXT COLLATE "C" NOT NULL,
            one_key BIGINT NOT NULL REFERENCES subjects ON DELETE CASCADE,
            other_key BIGINT REFERENCES subjects ON DELETE CASCADE,
            undo_until BIGINT NOT NULL,
            text TEXT NOT NULL,
            PRIMARY KEY (gallery_key, change_id)
        )""",
        "CREATE UNIQUE INDEX changes_by_request ON changes (gallery_key, request_id) WHERE request_id != ''",
        "CREATE INDEX changes_of_one ON changes (one_key)",
        "CREATE INDEX changes_of_other ON changes (other_key) WHERE other_key IS NOT NULL",
        "CREATE INDEX changes_to_erase ON changes (gallery_key, undo_until) WHERE text != ''",
        "CREATE INDEX hidden_galleries ON galleries (key) WHERE is_hidden",
        # What was deleted stays in the files until a VACUUM: it comes at the next look of the autovacuum daemon, not
        # once a fifth of a table is dead.
        *(
            f"ALTER TABLE {table} SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0)"
            for table in _PERSONAL
        ),
    ),
    # Another one with every migration of the gallery to another model: a template that loses its embedding under a
    # contract may get another one when the gallery comes back to it.
    ("ALTER TABLE galleries ADD COLUMN epoch UUID NOT NULL DEFAULT gen_random_uuid()",),
)
"""The statements from each schema version to the next; the first make version 1 from nothing."""

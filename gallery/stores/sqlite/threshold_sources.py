"""The sources of thresholds that older versions stored without them."""

from __future__ import annotations

from gallery.records.thresholds import infer_threshold_source
from gallery.stores.columns import calibration_of
from gallery.stores.sqlite.file.database import SqliteDatabase
from gallery.stores.sqlite.sealing.sealed_values import CALIBRATION, Opener

_WITHOUT_SOURCE = "SELECT key, threshold, calibration FROM galleries WHERE threshold_source = '' AND NOT hidden"


def infer_missing_sources(database: SqliteDatabase, default_threshold: float, opener: Opener) -> None:
    """Infer and store the sources that are missing; see :func:`gallery.records.galleries.infer_threshold_source`.

    Raises:
        BadRow: a calibration is not as it was written.
        StorageError: the database cannot be read or written.
    """
    with database.reading() as connection:
        if connection.execute(_WITHOUT_SOURCE).fetchone() is None:
            return
    with database.writing() as connection:
        for key, threshold, calibration_text in connection.execute(_WITHOUT_SOURCE).fetchall():
            source = infer_threshold_source(
                threshold,
                calibration_of(opener.text(calibration_text, CALIBRATION)),
                default_threshold=default_threshold,
            )
            connection.execute("UPDATE galleries SET threshold_source = ? WHERE key = ?", (source.value, key))

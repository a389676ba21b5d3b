"""The errors and the drift of a calibrated gallery in use, from counts that a real server keeps."""

from __future__ import annotations

import json
import re
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typer.testing import CliRunner

from facet import Client
from facet.cli.evaluate.app import app
from gallery.observations.records import DAY, HOUR, Observation, start_of
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.times import now
from tests.integration.gallery.stores.samples import new_gallery
from tests.unit.gallery.estimation import replays
from tests.unit.gallery.observations.faces import MEASURES

if TYPE_CHECKING:
    from tests.conftest import Serve, Serving

GALLERY, CAMERA = "entrance", "camera:door"
STRANGERS, MATES = 1, 14
DAYS = 9


@pytest.fixture
def database(tmp_path: Path, client: Client) -> Path:
    """A calibrated gallery that has seen a week and two days; on the last day, the camera is blurred."""
    path, end = tmp_path / "seen.sqlite3", start_of(now(), HOUR)
    begin = end - DAYS * DAY
    known = replace(replays.calibration(), contract=client.get_server_info().contract, create_time=begin)
    gallery = replace(
        new_gallery(GALLERY),
        contract=known.contract,
        mean_of_best=known.mean_of_best,
        threshold=replays.THRESHOLD,
        calibration=known,
        create_time=begin,
    )
    hours = [an_hour(begin + number * HOUR, is_blurred=number >= (DAYS - 1) * 24) for number in range(DAYS * 24)]
    with closing(SqliteStore(path)) as store:
        store.create_gallery(gallery)
        store.observations.add(hours)
    return path


def an_hour(start: datetime, *, is_blurred: bool) -> Observation:
    best, runner_up, _ = replays.searches(STRANGERS, MATES, np.random.default_rng(int(start.timestamp())))
    counts = replays.counted(best, runner_up, MEASURES._replace(sharpness=0.1) if is_blurred else MEASURES)
    return Observation(GALLERY, CAMERA, start, HOUR, counts)


@pytest.fixture
def used(serve: Serve, database: Path) -> Serving:
    return serve("--models.objects", "none", "--gallery.database", str(database))


def test_errors_and_what_changed_are_told_by_day_with_intervals_that_hold_the_truth(
    used: Serving, tmp_path: Path
) -> None:
    flags = ("--days", "3", "--report", str(tmp_path / "online"), "--address", used.address, "--json")
    done = CliRunner().invoke(app, ["online", GALLERY, *flags, "--require", "fnir<=0.2"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    truth = {
        "unknown_share": STRANGERS / (STRANGERS + MATES),
        "fpir": replays.fpir_at(replays.THRESHOLD),
        "fnir": 0.1 * NormalDist(0.45, 0.1).cdf(replays.THRESHOLD),
    }
    for name, share in truth.items():
        assert found[name]["low"] <= share <= found[name]["high"], name
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"], name
    assert (found["source"], found["changed_sources"]) == (CAMERA, 1)
    (row,) = found["tables"]["by_source"]
    assert (row["moved"], row["note"], row["not_compared"]) == ("sharpness", "", "")
    days = found["tables"]["by_day"]
    assert {each["source"] for each in days} == {CAMERA}
    newest = start_of(now(), HOUR) - HOUR
    today = start_of(now(), DAY)
    seen = {start_of(newest - number * HOUR, DAY) for number in range(DAYS * 24)}
    assert [each["day"] for each in days] == [f"{day:%Y-%m-%d}" for day in sorted(seen) if day >= today - 3 * DAY]
    assert sum(each["faces"] for each in days) == found["faces"]
    assert all(each["fnir"]["high"] > 0 for each in days)
    page = (tmp_path / "online" / "report.html").read_text("utf-8")
    assert "By day: camera:door" in page
    assert "Sharpness: camera:door" in page
    assert len(re.findall("<svg", page)) >= 2


def test_for_people_there_is_a_table_that_names_what_moved(used: Serving) -> None:
    done = CliRunner().invoke(app, ["online", GALLERY, "--days", "1", "--address", used.address])
    assert done.exit_code == 0, done.output
    assert CAMERA in done.output
    assert "sharpness" in done.output
    unmet = CliRunner().invoke(
        app, ["online", GALLERY, "--days", "1", "--address", used.address, "--require", "changed_sources<=0"]
    )
    assert unmet.exit_code == 1
    assert "changed_sources is 1" in unmet.output

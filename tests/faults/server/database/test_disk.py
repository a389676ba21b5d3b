"""Servers whose disk is full, read-only, broken or slow."""

from __future__ import annotations

import errno
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import Client, FacetError
from facet.client.errors import StatusCode
from gallery.stores.sqlite.verify import verify
from tests.faults.injection.faults import Faults
from tests.faults.promises import Seen, promises
from tests.faults.server.writers import GALLERY, enroll
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve

LIGHT = ("--models.objects", "none")
DATABASE = "facet.sqlite3"
AREA = "disk"
READS_GO_ON = (
    "identification goes on; nothing is half there; once the disk works again, so do writes, without a restart"
)


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        pytest.param(
            errno.ENOSPC,
            StatusCode.RESOURCE_EXHAUSTED,
            "STORAGE_FULL",
            marks=promises(
                AREA,
                "full while the server runs",
                f"writes are refused with STORAGE_FULL, or made and only not erased, as the answer says; {READS_GO_ON}",
            ),
            id="full",
        ),
        pytest.param(
            errno.EIO,
            StatusCode.UNAVAILABLE,
            "STORAGE_UNAVAILABLE",
            marks=promises(
                AREA, "write and sync errors (EIO)", f"writes are refused with STORAGE_UNAVAILABLE; {READS_GO_ON}"
            ),
            id="errors",
        ),
    ],
)
def test_a_disk_that_cannot_be_written_refuses_writes_only(
    serve: Serve,
    tmp_path: Path,
    faults: Callable[[str], Faults],
    pictures: Pictures,
    error: int,
    code: StatusCode,
    reason: str,
    seen: Seen,
) -> None:
    # A full disk still takes what fits into the file of the log.
    enrollments = 6 if error == errno.ENOSPC else 1
    disk = faults(DATABASE)
    serving = serve(*LIGHT, environment=disk.environment)
    with Client(serving.address) as client:
        client.create_gallery(GALLERY)
        client.create_gallery("doomed")
        for person in ("a", "b"):
            enroll(client, person, pictures.yaoming)
        client.enroll("doomed", "d", pictures.yaoming)
        disk.fail_writes(error)
        writes: dict[str, Callable[[], object]] = {
            **{
                f"EnrollFace of p{number}": partial(enroll, client, f"p{number}", pictures.yaoming)
                for number in range(enrollments)
            },
            "UpdateSubject": lambda: client.update_subject(GALLERY, "a", display_name="other"),
            "DeleteSubject": lambda: client.delete_subject(GALLERY, "b"),
            "CreateGallery": lambda: client.create_gallery("new"),
            "UpdateGallery": lambda: client.update_gallery(GALLERY, threshold=0.9),
            "DeleteGallery": lambda: client.delete_gallery("doomed", force=True),
        }
        refused: list[str] = []
        for name, write in writes.items():
            before = state(client)
            failed = refusal(write)
            assert failed is None or (failed.code, failed.reason) == (code, reason), name
            was_made = failed is None or failed.metadata.get("change_was_made") == "true"
            assert (state(client) != before) == was_made, f"{name} was made, or was not, and the answer says otherwise"
            refused += [] if was_made else [name]
        assert refused
        assert client.identify(GALLERY, pictures.yaoming).faces[0].identification.candidates
        disk.fail_writes(0)
        for name in refused:
            writes[name]()
        after = state(client)
    people = {"a": "other"} | {f"p{number}": "as enrolled" for number in range(enrollments)}
    assert after.keys() == {GALLERY, "new"}
    assert after[GALLERY][0] == people
    assert after[GALLERY][1] == pytest.approx(0.9)
    assert serving.stop() == 0
    assert verify(tmp_path / DATABASE).problems == ()
    with Client(serve(*LIGHT).address) as client:
        assert state(client) == after
    seen(
        f"{len(refused)} of {len(writes)} writes refused with {reason} and not made, the others made; all refused ones "
        "made when the disk worked"
    )


@promises(
    AREA,
    "a quota that is used up while the server runs (EDQUOT)",
    "enrolments and imports are refused with STORAGE_FULL; with room again both work, without a restart",
)
def test_a_quota_that_is_used_up_is_a_full_disk(
    serve: Serve, tmp_path: Path, faults: Callable[[str], Faults], pictures: Pictures, seen: Seen
) -> None:
    folder = tmp_path / "of-the-quota"
    folder.mkdir()
    disk = faults(f"{folder}/")
    serving = serve(*LIGHT, "--gallery.database", str(folder / DATABASE), environment=disk.environment)
    with Client(serving.address) as client:
        client.create_gallery(GALLERY)
        enroll(client, "a", pictures.yaoming)
        exported = b"".join(client.export_gallery(GALLERY))
        disk.fail_writes(errno.EDQUOT)
        enrolled = ["a"]
        # Some still fit into the file of the log.
        while (refused := refusal(partial(enroll, client, f"p{len(enrolled)}", pictures.yaoming))) is None:
            enrolled.append(f"p{len(enrolled)}")
        importing = refusal(lambda: client.import_gallery(iter([exported]), "other"))
        assert [each.reason for each in (refused, importing) if each] == ["STORAGE_FULL", "STORAGE_FULL"]
        disk.fail_writes(0)
        client.import_gallery(iter([exported]), "other")
        enroll(client, "last", pictures.yaoming)
        assert state(client)[GALLERY][0].keys() == {*enrolled, "last"}
    seen("an enrolment and an import refused with STORAGE_FULL, and nothing of them kept; then both made")


def refusal(call: Callable[[], object]) -> FacetError | None:
    """Return the error that a call is refused with; ``None`` if it is answered."""
    try:
        call()
    except FacetError as error:
        return error
    return None


def state(client: Client) -> dict[str, tuple[dict[str, str], float]]:
    """Return the people and the threshold of every gallery."""
    return {
        each.gallery_id: (
            {subject.subject_id: subject.display_name for subject in client.iter_subjects(each.gallery_id)},
            each.threshold,
        )
        for each in client.iter_galleries()
    }


@promises(
    AREA,
    "read errors (EIO)",
    "calls that read the database are refused with STORAGE_UNAVAILABLE or answered rightly; identification goes on; "
    "later calls work again",
)
def test_a_disk_that_cannot_be_read_leaves_identification_alone(
    serve: Serve, faults: Callable[[str], Faults], pictures: Pictures, seen: Seen
) -> None:
    disk = faults(DATABASE)
    serving = serve(*LIGHT, environment=disk.environment)
    with Client(serving.address) as client:
        client.create_gallery(GALLERY)
        for person in ("a", "b"):
            enroll(client, person, pictures.yaoming)
        disk.fail_reads(errno.EIO)
        refused = 0
        calls: tuple[Callable[[], object], ...] = (
            partial(enroll, client, "c", pictures.yaoming),
            partial(client.update_subject, GALLERY, "a", display_name="other"),
            partial(state, client),
        )
        for call in calls:
            failed = refusal(call)
            assert failed is None or failed.reason == "STORAGE_UNAVAILABLE"
            refused += failed is not None
            assert client.identify(GALLERY, pictures.yaoming).faces[0].identification.candidates
        disk.fail_reads(0)
        enroll(client, "d", pictures.yaoming)
        assert state(client)[GALLERY][0].keys() - {"c"} == {"a", "b", "d"}
    assert serving.stop() == 0
    seen(f"{refused} of {len(calls)} calls refused, the others answered from memory; every identification answered")


@promises(
    AREA,
    "slow: each sync takes two seconds",
    "an enrolment waits until it is on disk; identifications do not wait for it",
)
def test_a_slow_disk_delays_writes_and_not_searches(
    serve: Serve, faults: Callable[[str], Faults], pictures: Pictures, seen: Seen
) -> None:
    disk = faults(DATABASE)
    serving = serve(*LIGHT, environment=disk.environment)
    with Client(serving.address) as client, ThreadPoolExecutor(1) as thread:
        client.create_gallery(GALLERY)
        enroll(client, "a", pictures.yaoming)
        client.identify(GALLERY, pictures.yaoming)
        disk.kill_at(0)
        disk.slow_syncs(2.0)
        enrolling = thread.submit(enroll, client, "b", pictures.yaoming)
        answered = 0
        until(lambda: disk.operations, "the enrolment did not reach the disk")
        while not enrolling.done():
            assert client.identify(GALLERY, pictures.yaoming).faces
            answered += 1
        assert enrolling.result()
        disk.slow_syncs(0)
        assert answered > 2
    seen(f"{answered} identifications answered while one enrolment waited for the disk")

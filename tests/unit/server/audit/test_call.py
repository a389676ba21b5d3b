"""Every call that the log is to tell of is in it, whatever its request names."""

from __future__ import annotations

import asyncio
from pathlib import Path

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from facet.server.audit import call
from facet.server.audit.actions import ACTIONS, Action
from facet.server.audit.chain.entry import BEGUN
from facet.server.audit.reading import Wanted, entries
from facet.server.audit.trail import AuditTrail
from facet.v1 import gallery_service_pb2 as pb
from tests.unit.server.audit.logs import settings_of
from tests.unit.server.audit.test_actions import METHODS, answer_of

AUDITED = {
    f"{service}.{name}": action
    for service, methods in ACTIONS.items()
    for name, action in methods.items()
    if action.kind != "nothing"
}


async def made(trail: AuditTrail, method: MethodDescriptor, action: Action, address: str) -> None:
    """One call whose request is empty, as its interceptor and its service make it."""
    assert method.containing_service is not None
    audit = call.begin_call(trail, f"/{method.containing_service.full_name}/{method.name}", f"ipv4:{address}:1")
    request = GetMessageClass(method.input_type)()

    async def answer() -> object:
        return GetMessageClass(answer_of(action, method))()

    audit.requested(request)
    await audit.begin()
    if action.by_item:
        await call.item(request, answer)
    else:
        audit.answered(await answer())
    audit.ended("OK", "")


async def test_calls_that_name_no_gallery_are_in_the_log(tmp_path: Path) -> None:
    """Who reads the erasures of all galleries, for one, names none."""
    trail = AuditTrail(settings_of(tmp_path / "log"))
    addresses = {name: f"192.0.2.{number}" for number, name in enumerate(AUDITED)}
    for name, action in AUDITED.items():
        # A task of its own, as each call has: the audit is that of the current task.
        await asyncio.create_task(made(trail, METHODS[name], action, addresses[name]), name=name)
    trail.close()
    drafts = [each.draft for each in entries(tmp_path / "log", Wanted()) if each.draft.outcome != BEGUN]
    told = {(draft.action, draft.address) for draft in drafts}
    assert told == {(action.name, addresses[name]) for name, action in AUDITED.items()}


async def test_a_merge_names_both_people_by_hashes_only(tmp_path: Path) -> None:
    trail = AuditTrail(settings_of(tmp_path / "log"))
    audit = call.begin_call(trail, "/facet.v1.GalleryService/MergeSubjects", "ipv4:192.0.2.1:1")
    audit.requested(pb.MergeSubjectsRequest(gallery_id="team", from_subject_id="yao-2", into_subject_id="yao-1"))
    await audit.begin()
    made = pb.Change(change_id="c", from_subject_id="yao-2", into_subject_id="yao-1")
    audit.answered(pb.MergeSubjectsResponse(change=made))
    audit.ended("OK", "")
    trail.close()
    drafts = [each.draft for each in entries(tmp_path / "log", Wanted())]
    hashes = [trail.hash_of_subject(subject_id) for subject_id in ("yao-2", "yao-1")]
    assert [[draft.subject, draft.facts["other_subject"]] for draft in drafts] == [hashes, hashes]
    assert drafts[-1].facts["change"] == "c"
    assert not any(b"yao" in path.read_bytes() for path in (tmp_path / "log").iterdir())

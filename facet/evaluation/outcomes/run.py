"""Fetches what clients said about the answers of a gallery, and the enrolled faces of those who were mistaken."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import aclosing
from dataclasses import dataclass

from facet import AsyncClient, NotFound
from facet.evaluation.outcomes.figures import worst
from facet.v1.gallery_service_pb2 import Outcome

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class OutcomesRun:
    """What a server knows about its answers.

    Attributes:
        contract: the embedding contract of the model that searches the gallery.
        outcomes: what was said about answers of that model, the first at the beginning: no others can be compared with
            them.
        everything: what was said about the answers of all models.
        crops: an enrolled face, PNG, of each subject in the worst mistakes whose crops the server keeps.
    """

    contract: str
    outcomes: list[Outcome]
    everything: list[Outcome]
    crops: dict[str, bytes]


async def fetch(client: AsyncClient, gallery_id: str, *, mistakes: int, crops: bool) -> OutcomesRun:
    """Fetch the outcomes of a gallery.

    Args:
        client: the server.
        gallery_id: the gallery.
        mistakes: how many of the worst mistakes of each kind are shown.
        crops: whether their enrolled faces are fetched. The audit log has an access report for each of these people.
    """
    everything = [each async for each in client.iter_outcomes(gallery_id, page_size=_PAGE)]
    contract = (await client.get_gallery(gallery_id)).contract
    outcomes = [each for each in everything if each.contract == contract]
    if not crops:
        return OutcomesRun(contract, outcomes, everything, {})
    shown = [each for some in worst(outcomes, mistakes).values() for each in some]
    people = {each[name] for each in shown for name in ("candidate_image", "mate_image")} - {""}
    return OutcomesRun(contract, outcomes, everything, await _crops(client, gallery_id, people))


async def _crops(client: AsyncClient, gallery_id: str, people: Collection[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for subject_id in sorted(people):
        try:
            async with aclosing(client.export_subject(gallery_id, subject_id)) as parts:
                async for part in parts:
                    if part.HasField("template") and part.template.crop:
                        found[subject_id] = part.template.crop
                        break
        except NotFound:  # forgotten in the meantime
            continue
    return found

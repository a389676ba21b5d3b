"""Clients that write to a server until it dies, and what they know of it afterwards."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from facet import Client, FacetError, NotFound

GALLERY = "g"


@dataclass(slots=True)
class Writer:
    """One client that enrols, renames and forgets people of its own.

    Attributes:
        name: the prefix of its people.
        picture: whose face all of them have.
        stop: ends the writer.
        there: the names of people, as acknowledged.
        requests: the template that each request id was answered with, of people who are there.
        in_doubt: the person and the new name of a write that was not answered, ``None`` for a name if forgotten.
        errors: what ended the writer.
        acknowledged: the number of writes that were answered.
    """

    name: str
    picture: bytes
    stop: threading.Event
    there: dict[str, str] = field(default_factory=dict)
    requests: dict[str, str] = field(default_factory=dict)
    in_doubt: tuple[str, str | None] | None = None
    errors: list[FacetError] = field(default_factory=list)
    acknowledged: int = 0

    def run(self, address: str, seed: str) -> None:
        """Write until the server is gone."""
        chance, number = random.Random(seed), len(self.there)
        with Client(address) as client:
            while not self.stop.is_set():
                try:
                    self._step(client, chance, f"{self.name}-{seed}-{number}")
                except FacetError as error:
                    self.errors.append(error)
                    return
                self.in_doubt = None
                self.acknowledged += 1
                number += 1

    def _step(self, client: Client, chance: random.Random, new: str) -> None:
        kind = chance.choice(["enrol", "enrol", "rename", "forget"]) if self.there else "enrol"
        someone = chance.choice(sorted(self.there)) if self.there else new
        if kind == "enrol":
            self.in_doubt = new, "as enrolled"
            self.requests[new] = enroll(client, new, self.picture)
            self.there[new] = "as enrolled"
        elif kind == "rename":
            self.in_doubt = someone, f"renamed by {new}"
            client.update_subject(GALLERY, someone, display_name=f"renamed by {new}")
            self.there[someone] = f"renamed by {new}"
        else:
            self.in_doubt = someone, None
            client.delete_subject(GALLERY, someone)
            del self.there[someone], self.requests[someone]

    def settle(self, client: Client) -> tuple[int, int]:
        """Check a new server against what was acknowledged; return the numbers of those in doubt, and complete."""
        found = {
            each.subject_id: each for each in client.iter_subjects(GALLERY) if each.subject_id.startswith(self.name)
        }
        in_doubt, complete = 0, 0
        expected = dict(self.there)
        if self.in_doubt is not None:
            person, name = self.in_doubt
            in_doubt = 1
            there = found[person].display_name if person in found else None
            assert there in (name, self.there.get(person)), f"{person} is half written: {there}"
            complete = int(there == name)
            expected.pop(person, None)
            if there is not None:
                expected[person] = there
        assert {person: each.display_name for person, each in found.items()} == expected
        assert all(each.template_count == 1 for each in found.values()), "a person without a template"
        self.there, self.in_doubt = expected, None
        for person in found:
            # The same request again gets the same template, and enrols nobody twice.
            again = enroll(client, person, self.picture)
            assert self.requests.setdefault(person, again) == again
        self.requests = {person: self.requests[person] for person in found}
        return in_doubt, complete


def enroll(client: Client, person: str, picture: bytes) -> str:
    """Enrol a person under a request id of their own, and return the id of the template."""
    answer = client.enroll(
        GALLERY, person, picture, display_name="as enrolled", request_id=f"of {person}", accept_lookalike=True
    )
    return answer.template.template_id


def forget(client: Client, person: str) -> None:
    """Forget a person, who may be gone already."""
    try:
        client.delete_subject(GALLERY, person)
    except NotFound:
        return


@contextmanager
def writing(writers: list[Writer], address: str, seed: str) -> Iterator[None]:
    """Run writers during a block, and wait for all of them at its end."""
    threads = [threading.Thread(target=writer.run, args=(address, seed)) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for writer in writers:
            writer.stop.set()
        for thread in threads:
            thread.join()
        for writer in writers:
            writer.stop.clear()


def total(writers: list[Writer]) -> int:
    """Return the number of writes that were acknowledged."""
    return sum(writer.acknowledged for writer in writers)

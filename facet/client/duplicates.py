"""What a search for duplicates has found so far, so that it can go on."""

from __future__ import annotations

from collections.abc import Iterable

from facet.client.errors import FacetError, StatusCode
from facet.client.retry import Retry
from facet.v1 import gallery_service_pb2 as pb

_PATIENCE = 60.0
_UNDER_WAY = "DUPLICATE_SEARCH_UNDER_WAY"


class DuplicateSearch:
    """A search for duplicates in a gallery: what it found, and where it goes on.

    Give the same one to :meth:`facet.Client.find_duplicates` again after a call that broke off. To go on in another
    process, keep :attr:`resume_token` and :attr:`findings`, and make one with them.

    Args:
        max_findings: how many findings are kept, the most probable ones, 1 to 10,000.
        resume_token: of an earlier search; empty to begin.
        findings: of that search.

    Attributes:
        max_findings: see above.
        resume_token: goes on after what was found; empty as long as the search has to begin again.
        templates_done: how many templates have been searched for.
        template_count: the number of templates in the gallery.
    """

    def __init__(
        self,
        max_findings: int = 1000,
        *,
        resume_token: str = "",
        findings: Iterable[pb.DuplicateFinding] = (),
    ) -> None:
        self.max_findings = max_findings
        self.resume_token = resume_token
        self.templates_done = self.template_count = 0
        self._found = {_key(each): each for each in findings}

    @property
    def findings(self) -> list[pb.DuplicateFinding]:
        """What was found, the most probable first."""
        return sorted(self._found.values(), key=_order)[: self.max_findings]

    def take(self, response: pb.FindDuplicatesResponse) -> None:
        """Add a response."""
        for finding in response.findings:
            self._found[_key(finding)] = finding
        if len(self._found) > 2 * self.max_findings:
            self._found = {_key(each): each for each in self.findings}
        self.resume_token = response.resume_token or self.resume_token
        self.templates_done, self.template_count = response.templates_done, response.template_count


class Resumption:
    """When a search that broke off is asked for again: while no server answers, or the broken call is still open.

    A search without any response is not: there may be no server at all.
    """

    def __init__(self) -> None:
        self._retry = Retry(_PATIENCE)
        self._has_begun = False

    def succeeded(self) -> None:
        """Note that a response came."""
        self._has_begun = True
        self._retry.succeeded()

    def pause(self, error: FacetError) -> float:
        """Return the seconds to wait; raises the error if the search is not to be asked for again."""
        is_lost = self._has_begun and error.code is StatusCode.UNAVAILABLE
        is_still_open = self._retry.failing and error.reason == _UNDER_WAY
        seconds = self._retry.failed(error.retry_after) if is_lost or is_still_open else None
        if seconds is None:
            raise error
        return seconds


def _key(finding: pb.DuplicateFinding) -> tuple[int, str, str, str]:
    """What a finding is about."""
    own, other = finding.template.template, finding.other_template.template
    is_pair = finding.kind == pb.DuplicateFinding.KIND_SAME_PERSON
    return finding.kind, own.subject_id, "" if is_pair else own.template_id, other.subject_id


def _order(finding: pb.DuplicateFinding) -> tuple[float, float, tuple[int, str, str, str]]:
    return -finding.chance, -finding.similarity, _key(finding)

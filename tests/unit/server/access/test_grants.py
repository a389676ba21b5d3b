"""What a call may do, while its caller's rights change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from facet.server.access.grants import Grant
from facet.server.access.identity import ALL_GALLERIES, SCOPES, Identity, PermittedGalleries, Scope
from facet.server.access.rules import Rule, rule_of
from facet.server.errors import GalleryNotPermitted, ScopeMissing, Unauthenticated
from facet.v1.recognition_service_pb2 import IdentifyRequest

SITE_A = PermittedGalleries.of(["lobby", "site-a-*"])
CAMERA = Identity("key:1", scopes=frozenset[Scope]({"recognize"}), galleries=SITE_A)
IDENTIFY = Rule("recognize", ("gallery_id",))


class Caller:
    """A caller whose rights change."""

    def __init__(self, identity: Identity | None) -> None:
        self.identity = identity

    def claim(self) -> Identity:
        """Its identity now."""
        if self.identity is None:
            raise Unauthenticated
        return self.identity


def test_names_and_prefixes_permit_galleries() -> None:
    for gallery_id in ("lobby", "site-a-", "site-a-door"):
        assert SITE_A.allows(gallery_id)
    for gallery_id in ("", "lobby2", "Lobby", "site-a", "site-b-door", "x-site-a-door", "*"):
        assert not SITE_A.allows(gallery_id)
    assert not PermittedGalleries().allows("")
    assert SITE_A.patterns == ["lobby", "site-a-*"]
    assert PermittedGalleries.of(["*"]) == ALL_GALLERIES
    assert ALL_GALLERIES.allows("")
    assert ALL_GALLERIES.are_all
    assert not SITE_A.are_all


@pytest.mark.parametrize("scope", SCOPES)
def test_admin_includes_enroll_and_recognize_and_no_other_scope_includes_another(scope: Scope) -> None:
    identity = Identity("key:1", scopes=frozenset({scope}))
    included = {each for each in SCOPES if identity.has(each)}
    assert included == ({"recognize", "enroll", "admin"} if scope == "admin" else {scope})


def test_a_method_of_another_scope_is_refused_when_the_call_begins() -> None:
    with pytest.raises(ScopeMissing, match="enroll"):
        Grant(Rule("enroll"), lambda: CAMERA)
    assert Grant(Rule(None), lambda: CAMERA).identity is CAMERA


def test_a_gallery_without_right_is_refused_the_same_whether_it_is_named_or_left_to_the_server() -> None:
    grant = Grant(IDENTIFY, lambda: CAMERA)
    grant.check(IdentifyRequest(gallery_id="lobby"))
    refusals = []
    for gallery_id in ("vault", "no-such-gallery", ""):
        with pytest.raises(GalleryNotPermitted) as refused:
            grant.check(IdentifyRequest(gallery_id=gallery_id))
        refusals.append(str(refused.value))
    assert len(set(refusals)) == 1


def test_a_call_loses_what_its_caller_loses() -> None:
    caller = Caller(CAMERA)
    grant = Grant(IDENTIFY, caller.claim)
    grant.check(IdentifyRequest(gallery_id="lobby"))
    caller.identity = replace(CAMERA, galleries=PermittedGalleries.of(["lobby"]))
    grant.renew()
    with pytest.raises(GalleryNotPermitted):
        grant.check(IdentifyRequest(gallery_id="site-a-door"))
    caller.identity = replace(CAMERA, galleries=PermittedGalleries.of(["site-a-*"]))
    with pytest.raises(GalleryNotPermitted):
        grant.renew()
    caller.identity = replace(CAMERA, scopes=frozenset[Scope]({"enroll"}))
    with pytest.raises(ScopeMissing):
        grant.renew()
    caller.identity = None
    with pytest.raises(Unauthenticated):
        grant.renew()


def test_a_call_that_names_very_many_galleries_remembers_few_of_them() -> None:
    caller = Caller(replace(CAMERA, galleries=ALL_GALLERIES))
    grant = Grant(IDENTIFY, caller.claim)
    for gallery_id in ("vault", *(f"site-a-{number}" for number in range(64))):
        grant.check(IdentifyRequest(gallery_id=gallery_id))
    caller.identity = CAMERA
    grant.renew()
    grant.check(IdentifyRequest(gallery_id="lobby"))


def test_a_method_that_does_not_exist_has_no_rule() -> None:
    assert rule_of("/facet.v1.GalleryService/Nothing") is None
    assert rule_of("") is None

"""Consents, expiries and policies on the command line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.waiting import until

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_consent_is_recorded_shown_and_removed(run: Run, people: Path, new_gallery: str) -> None:
    here = ("--gallery", new_gallery)
    run("enroll.py", people / "Yao Ming" / "portrait.jpg", "--subject", "yao", *here)
    assert "none" not in run("enroll.py", "list", *here).stdout
    given = run("enroll.py", "consent", "--missing", "--basis", "consent", "--reference", "[form] 17", *here)
    assert given.stdout.startswith("yao: consent ([form] 17), 20"), given.stderr
    assert "[form] 17" in run("enroll.py", "list", *here).stdout
    assert "consent: consent ([form] 17)" in run("enroll.py", "show", "yao", *here).stdout
    shown = json.loads(run("enroll.py", "show", "yao", "--json", *here).stdout)["subject"]
    assert shown["consent"]["basis"] == "CONSENT_BASIS_CONSENT"
    required = run("gallery.py", "policy", new_gallery, "--require-consent")
    assert "requires a consent of everybody" in required.stdout
    refused = run("enroll.py", "consent", "yao", "--remove", *here)
    assert refused.returncode == 1
    assert "CONSENT_REQUIRED" in refused.stderr
    assert run("gallery.py", "policy", new_gallery, "--no-require-consent").returncode == 0
    assert run("enroll.py", "consent", "yao", "--remove", *here).stdout == "yao: no consent\n"
    for wrong in (
        ("consent", "yao", "--basis", "because"),
        ("consent", "yao", "--basis", "consent", "--time", "yesterday"),
        ("consent", "yao", "--reference", "form 17"),
        ("consent", "yao"),
        ("consent", "--basis", "consent"),
        ("expire", "yao", "--at", "soon"),
        ("expire", "yao", "--at", "999999999y"),
        ("expire", "yao"),
    ):
        assert run("enroll.py", *wrong, *here).returncode == 2, wrong
    unknown = run("enroll.py", "consent", "nobody", "--basis", "consent", *here)
    assert (unknown.returncode, unknown.stderr.split(":")[0]) == (1, "SUBJECT_NOT_FOUND")


def test_a_manifest_has_consents_and_expiries(run: Run, people: Path, new_gallery: str, tmp_path: Path) -> None:
    manifest = tmp_path / "people.csv"
    yao, columns = people / "Yao Ming" / "portrait.jpg", "subject,path,consent_basis,consent_reference,expires\n"
    manifest.write_text(f"{columns}yao,{yao},contract,no. 5,2999-01-31\n", "utf-8")
    enrolled = run("enroll.py", manifest, "--gallery", new_gallery, "--consent-basis", "consent")
    assert enrolled.returncode == 0, enrolled.stderr
    shown = json.loads(run("enroll.py", "show", "yao", "--json", "--gallery", new_gallery).stdout)["subject"]
    assert (shown["consent"]["basis"], shown["consent"]["reference"]) == ("CONSENT_BASIS_CONTRACT", "no. 5")
    assert shown["expire_time"] == "2999-01-31T00:00:00Z"
    never = run("enroll.py", "expire", "yao", "--never", "--gallery", new_gallery)
    assert never.stdout == "yao: does not expire\n"
    manifest.write_text(f"{columns}yao,{yao},because,,\n", "utf-8")
    refused = run("enroll.py", manifest, "--gallery", new_gallery)
    assert refused.returncode == 2
    assert "line 2" in refused.stderr


def test_a_policy_is_previewed_confirmed_and_shown(run: Run, people: Path, new_gallery: str) -> None:
    run("enroll.py", people / "Yao Ming" / "portrait.jpg", "--subject", "yao", "--gallery", new_gallery)
    policy = ("gallery.py", "policy", new_gallery)
    kept = run(*policy, "--subject-retention", "52w", "--template-retention", "1y")
    assert kept.stdout == f"{new_gallery}: requires no consent; keeps people for 364d; keeps templates for 1y\n"
    said: dict[str, Any] = {}

    def template_is_a_second_old() -> bool:
        said.update(json.loads(run(*policy, "--template-retention", "1s", "--dry-run", "--json").stdout))
        return bool(said["templates_expiring"])

    until(template_is_a_second_old)
    assert (said["subjects_expiring"], said["templates_expiring"]) == (0, 1)
    assert said["policy"]["subject_retention"] == "31449600s"
    assert run(*policy, "--template-retention", "1s").returncode == 2, "nobody confirmed it"
    erased = run(*policy, "--template-retention", "1s", "--yes")
    assert "0 people and 1 template expired, and will be erased" in erased.stdout
    assert run(*policy, "--template-retention", "none", "--json").returncode == 0
    assert "keeps people for 364d\n" in run(*policy).stdout
    assert run(*policy, "--subject-retention", "soon").returncode == 2

"""scripts/enroll.py merge, move, undo, apart and apart-list."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from facet import Client

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serving

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_merge_is_confirmed_printed_with_the_command_that_undoes_it_and_undone(
    run: Run, server: Serving, pictures: Pictures, new_gallery: str
) -> None:
    with Client(server.address) as client:
        client.create_gallery(new_gallery)
        for subject_id in ("yao", "yao-2"):
            client.enroll(new_gallery, subject_id, pictures.yaoming, accept_lookalike=True)
    here = ("--gallery", new_gallery)
    assert run("enroll.py", "merge", "yao-2", "yao", *here).returncode == 2, "nobody confirmed it"
    merged = run("enroll.py", "merge", "yao-2", "yao", *here, "--yes")
    assert "merged yao-2 into yao, which has 2 templates" in merged.stdout
    (command,) = re.findall(r"undo \S+ --gallery \S+", " ".join(merged.stdout.split()))
    gone = run("enroll.py", "forget", "yao-2", *here, "--yes")
    assert gone.returncode == 1
    assert command in " ".join(gone.stderr.split()), "undoing the merge would bring this person back"
    shown = run("enroll.py", "show", "yao-2", *here)
    assert shown.returncode == 1
    assert "'yao-2' was merged into 'yao'; to bring it back:" in " ".join(shown.stderr.split())
    assert command in " ".join(shown.stderr.split())
    listed = run("enroll.py", "changes", *here)
    assert listed.stdout.startswith(command.split()[1]), "who lost the id finds it"
    assert "merged yao-2 into yao, 1 template by anonymous; can be undone until" in " ".join(listed.stdout.split())
    assert run("enroll.py", *command.split()).returncode == 2, "nobody confirmed it"
    undone = run("enroll.py", *command.split(), "--yes")
    assert "1 template went back to yao-2" in undone.stdout, undone.stderr
    assert run("enroll.py", "merge", "yao-2", "yao", *here, "--yes").returncode == 0
    repeated = run("enroll.py", *command.split(), "--yes")
    assert repeated.stdout == f"the change {command.split()[1]} was undone already; nothing was changed\n"
    assert json.loads(run("enroll.py", *command.split(), "--yes", "--json").stdout)["was_undone"]
    (_, change) = json.loads(run("enroll.py", "changes", "--subject", "yao", *here, "--json").stdout)["changes"]
    assert (change["change_id"], change["undone"]) == (command.split()[1], True)
    again = run("enroll.py", "merge", "yao-2", "nobody", *here, "--yes")
    assert again.returncode == 1
    assert again.stderr.startswith("SUBJECT_NOT_FOUND: ")


def test_people_are_told_apart_listed_and_a_template_is_moved(
    run: Run, server: Serving, pictures: Pictures, new_gallery: str, tmp_path: Path
) -> None:
    with Client(server.address) as client:
        client.create_gallery(new_gallery)
        for subject_id in ("ann", "beth"):
            enrolled = client.enroll(new_gallery, subject_id, pictures.yaoming, accept_lookalike=True)
    here = ("--gallery", new_gallery)
    told = run("enroll.py", "apart", "beth", "ann", *here)
    assert "beth and ann are two people" in told.stdout
    assert json.loads(run("enroll.py", "apart-list", *here, "--json").stdout) == {"pairs": [["ann", "beth"]]}
    refused = run("enroll.py", "merge", "ann", "beth", *here, "--yes")
    assert refused.returncode == 1
    assert "DISTINCT_SUBJECTS" in refused.stderr
    (command,) = re.findall(r"apart ann beth .*", refused.stderr)
    assert run("enroll.py", *command.split()).returncode == 0
    assert json.loads(run("enroll.py", "apart-list", *here, "--json").stdout) == {"pairs": []}
    arguments = ("move", enrolled.template.template_id, "--from", "beth", "--to", "ann", *here, "--yes", "--json")
    moved = json.loads(run("enroll.py", *arguments).stdout)
    assert (moved["subject"]["subject_id"], moved["subject"]["template_count"]) == ("ann", "2")

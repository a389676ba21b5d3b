"""The number of cores that this process may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import facet.runtime.cores
from facet.runtime.cores import share_cores, usable_cores


def count(folder: Path, membership: str, files: dict[str, str]) -> int:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "membership").write_text(membership)
    return usable_cores(folder, folder / "membership")


@pytest.fixture(autouse=True)
def _sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        ("0::/\n", {"cpu.max": "150000 100000"}, 2),
        ("0::/\n", {"cpu.max": "20000 100000"}, 1),
        ("0::/\n", {"cpu.max": "max 100000"}, 16),
        ("0::/\n", {"cpu.max": "9900000 100000"}, 16),
        ("0::/\n", {"cpu.max": "nonsense"}, 16),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),
        ("0::/a/b\n", {"a/cpu.max": "max 100000", "a/b/cpu.max": "200000 100000"}, 2),
        ("0::/a\n", {"b/cpu.max": "200000 100000"}, 16),
        (
            "4:memory:/m\n3:cpu,cpuacct:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "400000", "cpu/a/cpu.cfs_period_us": "100000"},
            4,
        ),
        ("3:cpu,cpuacct:/a\n", {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2),
        ("3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 16),
        ("not a membership", {}, 16),
    ],
)
def test_cores_are_bounded_by_the_quotas_of_all_cgroups_around_the_process(
    tmp_path: Path, membership: str, files: dict[str, str], cores: int
) -> None:
    assert count(tmp_path, membership, files) == cores


@pytest.mark.parametrize(("processes", "cores"), [(1, 16), (3, 5), (6, 3), (40, 1)])
def test_processes_divide_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int, cores: int
) -> None:
    monkeypatch.setattr(facet.runtime.cores, "_processes", 1)
    share_cores(processes)
    assert count(tmp_path, "0::/\n", {}) == cores


def test_cores_are_all_of_the_machine_where_there_is_no_affinity_and_no_cgroup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores(tmp_path / "none", tmp_path / "none") == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores(tmp_path / "none", tmp_path / "none") == 1

"""What a model answers, from its embeddings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facet.evaluation.comparison import answers
from facet.evaluation.comparison.labelled_set import PairsOfFiles, Role
from facet.evaluation.datasets.pairs import Pairs
from facet.evaluation.datasets.protocol import Entry, Protocol


def unit(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(values / np.linalg.norm(values), np.float32)


@pytest.mark.parametrize("at_once", [1, 4_000_000])
def test_subjects_are_ranked_by_their_most_similar_picture(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_AT_ONCE", at_once)
    rng = np.random.default_rng(0)
    gallery = tuple(Entry("gallery", f"s{n % 7}", f"g{n}", Path(f"g{n}")) for n in range(20))
    probes = tuple(Entry("mated" if n % 3 else "nonmated", f"s{n % 9}", f"p{n}", Path(f"p{n}")) for n in range(30))
    embeddings = {Role(each.path, each.role == "gallery"): unit(rng.normal(size=8)) for each in (*gallery, *probes)}
    del embeddings[Role(Path("p4"), as_template=False)], embeddings[Role(Path("g3"), as_template=True)]
    found = answers.outcomes(Protocol(gallery, probes), embeddings)
    for place, probe in enumerate(probes):
        vector = embeddings.get(Role(probe.path, as_template=False))
        if vector is None:
            assert (found.similarity[place], found.rank[place]) == (-np.inf, 0)
            continue
        best: dict[str, float] = {}
        for each in gallery:
            template = embeddings.get(Role(each.path, as_template=True))
            if template is not None:
                best[each.subject] = max(best.get(each.subject, -2.0), float(template @ vector))
        ranked = sorted(best, key=lambda name: (-best[name], name))
        assert found.similarity[place] == pytest.approx(best[ranked[0]], abs=1e-6)
        wanted = 1 + ranked.index(probe.subject) if probe.role == "mated" and probe.subject in best else 0
        assert found.rank[place] == wanted
    assert not found.matched.any()


def test_ties_break_on_the_name() -> None:
    vector = unit(np.ones(4))
    gallery = tuple(Entry("gallery", name, name, Path(name)) for name in ("b", "a", "c"))
    probes = tuple(Entry("mated", name, f"probe of {name}", Path(f"probe of {name}")) for name in "abc")
    embeddings = {Role(each.path, each.role == "gallery"): vector for each in (*gallery, *probes)}
    assert answers.outcomes(Protocol(gallery, probes), embeddings).rank.tolist() == [1, 2, 3]


def test_a_model_that_embeds_nothing_has_no_candidates() -> None:
    probe = Entry("mated", "a", "p", Path("p"))
    found = answers.outcomes(Protocol((Entry("gallery", "a", "g", Path("g")),), (probe,)), {})
    assert found.rank.tolist() == [0]


def test_a_pair_compares_a_reference_with_a_probe() -> None:
    one, other = unit(np.array([1.0, 0.0])), unit(np.array([1.0, 1.0]))
    a, b = np.array([0, 1, 0], np.intp), np.array([1, 0, 2], np.intp)
    same = np.array([True, True, False])
    pairs = Pairs(("x", "y", "z"), ("p", "p", "q"), "columns", a, b, same, np.zeros(3, np.intp))
    files = (Path("x"), Path("y"), Path("z"))
    embeddings = {
        Role(files[0], as_template=True): one,
        Role(files[1], as_template=True): other,
        Role(files[0], as_template=False): other,
        Role(files[1], as_template=False): other,
    }
    found = answers.similarities(PairsOfFiles(pairs, files, are_made=False), embeddings)
    assert found.tolist() == pytest.approx([0.5**0.5, 1, -1], abs=1e-6)

"""Which pictures of a person may show somebody else."""

from __future__ import annotations

from collections.abc import Mapping


def odd_ones_out(unlike: Mapping[str, Mapping[str, float]]) -> list[tuple[str, list[tuple[str, float]]]]:
    """Find the fewest templates that explain all unlike pairs, as a rule: repeatedly the one in most pairs.

    Of two templates that only look unlike each other, either may be wrong; the later one is returned.

    Args:
        unlike: for templates of one subject, the similarities to the subject's other templates that they look unlike.

    Returns:
        Templates, each with the templates that it looks unlike and the similarities, the least similar first.
    """
    pairs = {frozenset((one, other)): value for one, others in unlike.items() for other, value in others.items()}
    odd = []
    while pairs:
        counts: dict[str, int] = {}
        for pair in pairs:
            for template_id in pair:
                counts[template_id] = counts.get(template_id, 0) + 1
        worst = max(counts, key=lambda template_id: (counts[template_id], template_id))
        own = {pair: value for pair, value in pairs.items() if worst in pair}
        others = [(next(iter(pair - {worst})), value) for pair, value in own.items()]
        odd.append((worst, sorted(others, key=lambda each: (each[1], each[0]))))
        pairs = {pair: value for pair, value in pairs.items() if pair not in own}
    return odd

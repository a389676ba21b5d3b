"""The results of ``facet bench trust`` as a table."""

from __future__ import annotations

from rich.text import Text

from facet.benchmarks.trust.figures import BARS, Trust
from facet.terminal import console
from facet.terminal.tables import number, table, whole


def show(measured: Trust) -> None:
    """Print every figure, its bar, and what it means."""
    machine, at_rest = measured.machine, measured.at_rest
    shown = table(
        *(whole("figure"), number("measured"), number("at most"), "meaning"),
        title=f"{machine['processor']}, {machine['cores']} cores; {machine['templates']:,} templates",
    )
    low, high = at_rest.search_ratio_range
    rows = (
        ("tls_key_ms", f"{measured.tls_key_ms:.3f}", "what TLS and a key add to GetGallery, median of paired calls"),
        ("revoke_s", f"{measured.revoke_s:.2f}", "from a key's revocation to the end of its stream, the longest"),
        ("audit_p50_ms", f"{measured.audit_p50_ms:.3f}", "what the audit log adds to SearchEmbedding, median"),
        ("audit_change_ms", f"{measured.audit_change_ms:.3f}", "what it adds to UpdateGallery, median"),
        (
            *("audit_always_ms", f"{measured.audit_always_ms:.3f}"),
            "what it adds to EnrollFace if entries are on disk before the change",
        ),
        (
            *("start_ratio", f"{at_rest.start_ratio:.3f}"),
            f"start with encryption, {at_rest.start_encrypted_s:.2f} s, over {at_rest.start_plain_s:.2f} s without",
        ),
        (
            *("search_ratio", f"{at_rest.search_ratio:.3f}"),
            f"SearchEmbedding with encryption over that without; {low:.2f} to {high:.2f} by start",
        ),
        (
            *("key_timing_us", f"{measured.key_timing.key_timing_us:.3f}"),
            "by how much refusals of wrong keys differ; a single one varies by "
            f"{measured.key_timing.key_timing_spread_us:.2f}",
        ),
    )
    missed = measured.missed()
    for name, value, meaning in rows:
        bar = f"{BARS[name]:g}" if name in BARS else ""
        shown.add_row(name, Text(value, "red" if name in missed else ""), bar, meaning)
    console.out.print(shown)

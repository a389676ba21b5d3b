"""What a benchmark ran on."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from typing import Any

from facet import __version__
from facet.evaluation.report.provenance import processor
from facet.runtime.cores import usable_cores


def this_machine() -> dict[str, Any]:
    """Describe this machine, the day, and the version of Facet, for a document."""
    return {
        "processor": processor(),
        "cores": usable_cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "date": datetime.now(UTC).date().isoformat(),
        "facet": __version__,
    }

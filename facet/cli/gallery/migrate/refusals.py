"""Steps that the server refuses: the reason, and the commands that help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from facet import FacetError
from facet.cli.gallery.migrate.standing.steps import RESTART, Step, Steps
from facet.terminal import console
from facet.terminal.command_line.program import spelled


@contextmanager
def refusals(steps: Steps, command: str, *, override: str = "") -> Iterator[None]:
    """If the server refuses a step, exit with the reason and the commands that help.

    Args:
        steps: the commands of the gallery.
        command: the step.
        override: the option of the step that goes on although embeddings are missing; empty if it has none.
    """
    try:
        yield
    except FacetError as error:
        helpful = helps(error.reason, steps, command, override=override)
        if not helpful:
            raise
        console.fail("\n".join([f"{error.reason}: {error.message}", *(f"  {each}" for each in helpful)]))


def helps(reason: str, steps: Steps, command: str, *, override: str = "") -> list[Step]:
    """Return the commands that help with a refusal; empty if there are none for its reason."""
    if reason == "MIGRATION_INCOMPLETE":
        found = [steps.gaps(), steps.fill()]
        if override:
            found.append(Step(steps.typed(command, override), _OVERRIDES[override]))
        return found
    if reason == "THRESHOLD_NOT_CHOSEN":
        anyway = Step(steps.typed(command, "--allow-default-threshold"), "switches with the server's default")
        return [steps.calibrate(), steps.threshold(), anyway]
    if reason == "MODEL_NOT_LOADED":
        return [
            Step(spelled("facet status"), "lists the models that the server has"),
            Step(spelled("facet models add FILE"), "makes a file of a model that the server can load"),
            Step(spelled("facet serve --models.embedding-next MODEL"), f"{RESTART}, to load a second model"),
        ]
    if reason == "NO_MIGRATION":
        return [Step(steps.start(), "starts a migration")]
    if reason == "NOT_SWITCHED":
        return [Step(steps.typed("switch"), "lets the new model search"), steps.status()]
    if reason == "ALREADY_SWITCHED" and command == "cancel":
        return [Step(steps.typed("rollback"), "lets the old model search again"), steps.status()]
    if reason in {"MIGRATION_UNDER_WAY", "ALREADY_SWITCHED", "MIGRATION_ENDING"}:
        return [steps.status()]
    if reason == "ALREADY_MIGRATED":
        return [Step(spelled("facet gallery list"), "shows the galleries")]
    return []


_OVERRIDES = {
    "--allow-missing": "goes on without them: nobody is found by these templates",
    "--delete-missing": "deletes the templates that have none",
}

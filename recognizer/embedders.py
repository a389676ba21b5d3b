"""Embeds with one of several loaded recognition models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recognizer.alignment import CROP_SIZE
from recognizer.embedding import BATCHES, Embedder
from recognizer.errors import ContractNotLoaded
from recognizer.progress import Progress, Turns


class Embedders:
    """The recognition models of a pipeline. Safe to use from several threads.

    Args:
        first: the model for callers that name no contract.
        others: further models, of other contracts.

    Attributes:
        first: the model for callers that name no contract.
        by_contract: every model by its contract, the first model first.
    """

    def __init__(self, first: Embedder, *others: Embedder) -> None:
        self.first = first
        self.by_contract = {each.contract: each for each in (first, *others)}

    def warm_up(self) -> None:
        """Run every model in all batch sizes; see :meth:`recognizer.pipeline.FacePipeline.warm_up`."""
        for embedder in self.by_contract.values():
            embedder.embed([np.zeros((CROP_SIZE, CROP_SIZE, 3), np.uint8)] * sum(BATCHES))

    def of(self, contract: str | None) -> Embedder:
        """The model of a contract; ``None``: the first.

        Raises:
            ContractNotLoaded: no model has the contract.
        """
        if contract is None:
            return self.first
        try:
            return self.by_contract[contract]
        except KeyError:
            raise ContractNotLoaded(contract) from None

    def embed_in_turns(
        self,
        crops: Sequence[NDArray[np.uint8]],
        progress: Progress,
        *,
        as_template: bool = False,
        contract: str | None = None,
    ) -> Turns[NDArray[np.float32]]:
        """Embed aligned crops, and yield between batches; see :meth:`recognizer.pipeline.FacePipeline.embed`.

        Raises:
            ContractNotLoaded: no model has the contract; raised at once, not in the first turn.
        """
        return _embed(self.of(contract), crops, progress, as_template=as_template)


def _embed(
    embedder: Embedder, crops: Sequence[NDArray[np.uint8]], progress: Progress, *, as_template: bool
) -> Turns[NDArray[np.float32]]:
    outputs: list[NDArray[np.float32]] = []
    for batch in embedder.batches(crops, mirrored=as_template):
        if outputs:
            yield
        progress.check()
        with progress.stage("embed", batch=0 if outputs else len(crops)):  # the faces are counted once
            outputs.append(embedder.run(batch))
    return embedder.combine(outputs, mirrored=as_template)

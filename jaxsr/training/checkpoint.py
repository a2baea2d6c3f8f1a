"""Checkpoints of a run: every Orbax call, and the weight files that follow each commit."""

from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp

from jaxsr.networks.weights import Weights, save_weights
from jaxsr.training.state import TrainState


class Checkpoints:
    """The folders `checkpoints/` and `weights/` of a run; close it, also after an error.

    Saving runs beside the training. A weight file is written once the checkpoint of its step is
    whole, so what lies in `weights/` can always be trained on.
    """

    def __init__(self, run_dir: Path, *, keep: int):
        self._weights_dir = run_dir / "weights"
        self._weights_dir.mkdir(parents=True, exist_ok=True)
        policies: Any = ocp.training.preservation_policies
        folder: Any = (run_dir / "checkpoints").absolute()
        self._orbax = ocp.training.Checkpointer(
            folder,
            preservation_policy=policies.LatestN(keep),
            cleanup_tmp_directories=True,
        )
        self._pending: dict[str, Weights] = {}
        self._metadata: dict[str, str] = {}

    @property
    def latest(self) -> int | None:
        """The step of the newest whole checkpoint."""
        return self._orbax.latest.step if self._orbax.latest else None

    def restore(self, abstract: TrainState) -> tuple[TrainState, dict[str, Any]]:
        """The newest whole checkpoint, placed as `abstract` says, and its note."""
        step = self.latest
        state: Any = self._orbax.load(step, abstract)
        note: Any = self._orbax.metadata(step).custom_metadata
        return state, note

    def save(
        self,
        state: TrainState,
        *,
        step: int,
        note: dict[str, Any],
        files: dict[str, Weights],
        metadata: dict[str, str],
    ) -> None:
        """Start saving the state of `step`, if it is not; `files` follow when it is whole."""
        self.commit(wait=True)
        if step == self.latest:
            return
        self._orbax.save_async(step, state, force=True, custom_metadata=note)
        # Copied now: the next step donates the buffers.
        self._pending, self._metadata = jax.device_get(files), metadata

    def commit(self, *, wait: bool = False) -> bool:
        """Write the weight files of a save that has become whole; True if it wrote some."""
        if not self._pending or (self._orbax.is_saving_in_progress() and not wait):
            return False
        self._orbax.wait()
        if jax.process_index() == 0:
            for name, weights in self._pending.items():
                path = self._weights_dir / f"{name}.safetensors"
                save_weights(path, weights, metadata=self._metadata)
        self._pending = {}
        return True

    def close(self) -> None:
        """Wait for what is being saved, and write its weight files."""
        try:
            self.commit(wait=True)
        finally:
            self._orbax.close()

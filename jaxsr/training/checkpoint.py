"""Checkpoints of a run: every Orbax call, and the weight files that follow each commit."""

import shutil
from pathlib import Path
from typing import Any

from orbax.checkpoint import v1 as ocp

from jaxsr.networks.weights import Weights, save_weights
from jaxsr.training import mesh as meshes
from jaxsr.training.state import TrainState

_STAGED = ".staged-"  # folders of weight files whose checkpoint is being written


class Checkpoints:
    """The folders `checkpoints/` and `weights/` of a run; close it, also after an error.

    Saving runs beside the training. The weight files of a step are staged first and take their
    names once its checkpoint is whole, if need be when the run is next opened. So what lies in
    `weights/` can always be trained on, and no kill loses any of it.
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
        self._saving: int | None = None
        if self.latest is not None:
            self._publish(self.latest)
        if meshes.first_process():
            for staged in self._weights_dir.glob(f"{_STAGED}*"):
                shutil.rmtree(staged)  # of a checkpoint that a killed run did not finish

    @property
    def latest(self) -> int | None:
        """The step of the newest whole checkpoint."""
        return self._orbax.latest.step if self._orbax.latest else None

    def restore(self, abstract: TrainState) -> tuple[TrainState, dict[str, Any]]:
        """The newest whole checkpoint, placed as `abstract` says, and its note."""
        step = self.latest
        try:
            state: Any = self._orbax.load(step, abstract)
            note: Any = self._orbax.metadata(step).custom_metadata
        except Exception as error:  # of every kind: tensorstore's, JSON's, the system's
            folder = Path(self._orbax.directory) / str(step)
            raise OSError(
                f"the checkpoint {folder} cannot be read ({type(error).__name__}); remove that "
                "folder to go on from the one before"
            ) from error
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
        """Start saving the state of `step`; `files` follow when it is whole."""
        self.commit(wait=True)
        if meshes.first_process():
            staged = self._staged(step)
            staged.mkdir()
            for name, weights in files.items():
                save_weights(staged / f"{name}.safetensors", weights, metadata=metadata)
        self._orbax.save_async(step, state, force=True, custom_metadata=note)
        self._saving = step

    def commit(self, *, wait: bool = False) -> None:
        """Publish the weight files of a save that has become whole; `wait` for that."""
        if self._saving is None or (self._orbax.is_saving_in_progress() and not wait):
            return
        self._orbax.wait()
        self._publish(self._saving)
        self._saving = None

    def close(self) -> None:
        """Wait for what is being saved, and publish its weight files."""
        try:
            self.commit(wait=True)
        finally:
            self._orbax.close()

    def _publish(self, step: int) -> None:
        staged = self._staged(step)
        if meshes.first_process() and staged.is_dir():
            for file in staged.glob("*.safetensors"):
                file.replace(self._weights_dir / file.name)
            shutil.rmtree(staged)

    def _staged(self, step: int) -> Path:
        return self._weights_dir / f"{_STAGED}{step}"

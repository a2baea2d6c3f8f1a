"""The training loop, a generator of records: restore; batch, step, log, evaluate, save."""

import contextlib
import math
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from jaxsr.evaluation.evaluate import Example, evaluate, low_resolution, read_set, super_resolve
from jaxsr.imaging.find import find_pictures
from jaxsr.interop.load import load
from jaxsr.networks.features import load_vgg
from jaxsr.networks.weights import Weights
from jaxsr.training import data, store
from jaxsr.training import mesh as meshes
from jaxsr.training.checkpoint import Checkpoints
from jaxsr.training.config import Config, dump_config, generator
from jaxsr.training.log import Log, picture_grid
from jaxsr.training.pictures import Pictures, scan
from jaxsr.training.run import check_run, write_config
from jaxsr.training.state import abstract_state, ema_weights, init_state
from jaxsr.training.step import make_step

Record = dict[str, Any]


def train(
    config: Config, run_dir: Path, *, mesh: Mesh | None = None
) -> Generator[Record, None, None]:
    """Train in `run_dir`, from its newest checkpoint on, and yield a record of each thing done.

    Each record names its `event`: `data`, `cache`, `start`, `step` (the metrics of one step,
    handed out one step late), `unreadable`, `eval`, `save`, `preempted`, `end`. Closing the
    generator between two records saves first. Raises ValueError for what was asked wrongly,
    before anything is written, and FloatingPointError after `train.max_skipped` non-finite steps
    in a row, when it has saved.
    """
    mesh = mesh or meshes.make_mesh()
    meshes.check_batch(mesh, config.train.batch_size, config.train.accumulate)
    check_run(config, run_dir)
    arch = generator(config)
    pictures, dropped = scan(
        config.data.train,
        crop=config.data.crop,
        channels=arch.channels,
        lr=config.data.lr,
        scale=arch.scale,
    )
    examples = _examples(config)
    start = _start(config)
    perceptual = config.loss.perceptual
    vgg = load_vgg(perceptual.weights, tuple(perceptual.layers)) if perceptual else None
    yield {"event": "data", "pictures": len(pictures.paths), "dropped": dropped}
    source = yield from _open(config, pictures)

    if jax.process_index() == 0:
        write_config(config, run_dir)
    with contextlib.closing(Checkpoints(run_dir, keep=config.train.keep)) as checkpoints:
        run = _Run(config, mesh, checkpoints, examples, start)
        with (
            contextlib.closing(Log(run_dir, step=run.step)) as log,
            contextlib.closing(run.go(source, jax.device_put(vgg, meshes.replicated(mesh)))) as go,
        ):
            for record in go:
                log.write(record, every=config.train.log_every)
                yield record


def _examples(config: Config) -> list[Example]:
    arch = generator(config)
    if not config.data.val:
        return []
    return read_set(find_pictures(config.data.val), scale=arch.scale, channels=arch.channels)


def _start(config: Config) -> Weights | None:
    """The weights that `train.init` names, if they fit."""
    if not config.train.init:
        return None
    weights, arch = load(config.train.init), generator(config)
    if weights.arch != arch:
        raise ValueError(
            f"train.init: got weights of {weights.arch}, wanted {arch}; "
            "make the [generator] section that of the weights, or name other weights"
        )
    return weights


def _open(config: Config, pictures: Pictures) -> Generator[Record, None, data.Source]:
    """The source of examples; yields the progress of filling the disk store."""
    if config.data.cache == "disk":
        for done, total in store.fill(pictures):
            yield {"event": "cache", "done": done, "total": total}
    return data.Source(
        pictures,
        seed=config.train.seed,
        memory=config.data.cache == "memory",
        store=store.Store(pictures) if config.data.cache == "disk" else None,
    )


class _Run:
    """The loop and what it carries from step to step."""

    def __init__(
        self,
        config: Config,
        mesh: Mesh,
        checkpoints: Checkpoints,
        examples: list[Example],
        start: Weights | None,
    ):
        self.config, self.mesh, self.checkpoints, self.examples = (
            config,
            mesh,
            checkpoints,
            examples,
        )
        self.best: Record = {}
        self.files: dict[str, Weights] = {}  # to be written beside the next checkpoint
        if checkpoints.latest is None:
            self.state = init_state(config, mesh, start)
        else:
            self.state, note = checkpoints.restore(abstract_state(config, mesh))
            self.best = note["best"]
        self.step = int(self.state.step)
        self.position = int(self.state.position)

    def go(self, source: data.Source, vgg: Any) -> Generator[Record, None, None]:
        """Step to the end."""
        config, train = self.config, self.config.train
        stages = {only: make_step(config, self.mesh, pixel_only=only) for only in (True, False)}
        batches = data.batches(
            source,
            position=self.position,
            batch_size=train.batch_size,
            workers=config.data.workers,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )
        waiting = _Waiting(train.batch_size, train.max_skipped)
        unreadable: set[int] = set()
        try:
            yield self._record("start", steps=train.steps)
            while self.step < train.steps:
                batch = next(batches)
                bad = set(batch.pop("bad").tolist()) - {-1} - unreadable
                pixel_only = self.step < train.pixel_steps
                placed = meshes.global_batch(self.mesh, batch)
                self.state, metrics = stages[pixel_only](self.state, placed, vgg)
                ready = waiting.swap(self.step + 1, self.position, metrics)
                self.step, self.position = self.step + 1, self.position + train.batch_size
                self.checkpoints.commit()
                if ready:
                    yield ready
                for picture in sorted(bad):
                    unreadable.add(picture)
                    path, reason = source.pictures.paths[picture], source.fault(picture)
                    yield self._record("unreadable", path=path, reason=reason)
                evaluates = self._due(config.eval.every) and bool(self.examples)
                saves = self._due(train.save_every)
                if (evaluates or saves) and (ready := waiting.swap()):
                    yield ready
                if evaluates:
                    yield self._evaluate()
                if saves:
                    yield self._save()
                if jax.process_count() > 1 and multihost_utils.reached_preemption_sync_point(
                    self.step
                ):
                    self._save()
                    yield self._record("preempted")
                    return
            yield self._record("end", best=self.best)
        except (GeneratorExit, FloatingPointError):
            self._save()
            raise
        finally:
            batches.close()

    def _due(self, every: int) -> bool:
        """Every so many steps, at the border of the stages, and at the end."""
        train = self.config.train
        return self.step % every == 0 or self.step in (train.pixel_steps, train.steps)

    def _evaluate(self) -> Record:
        weights = ema_weights(self.config, self.state)
        mean = evaluate(weights, self.examples, scale=weights.arch.scale, mesh=self.mesh)["mean"]
        weights = jax.device_get(weights)
        name = self.config.eval.best
        # Not finite: broken weights or a copied input, and neither is a best.
        if math.isfinite(mean[name]) and mean[name] > self.best.get("value", -math.inf):
            self.best = {"metric": name, "value": mean[name], "step": self.step}
            self.files["best"] = weights
        grid = {"grid": self._grid(weights)} if self.config.eval.images else {}
        return self._record("eval", **mean, **grid)

    def _grid(self, weights: Weights) -> np.ndarray:
        """Fixed crops in three columns: bicubic, the network, the original."""
        scale, side = weights.arch.scale, self.config.eval.image_size
        crops = [
            _centre(e.hr, side - side % scale) for e in self.examples[: self.config.eval.images]
        ]
        small = [low_resolution(crop, scale) for crop in crops]
        return picture_grid(
            {
                "bicubic": [super_resolve("bicubic", lr, scale) for lr in small],
                f"step {self.step}": [
                    np.asarray(super_resolve(weights, lr, scale)) for lr in small
                ],
                "original": crops,
            }
        )

    def _save(self) -> Record:
        weights = ema_weights(self.config, self.state)
        self.files["last"] = weights
        if self.step == self.config.train.pixel_steps:
            self.files["pixel"] = weights
        self.checkpoints.save(
            self.state,
            step=self.step,
            note={"best": self.best},
            files=self.files,
            metadata={"step": str(self.step), "config": dump_config(self.config)},
        )
        self.files = {}
        return self._record("save")

    def _record(self, event: str, **fields: Any) -> Record:
        return {"event": event, "step": self.step, **fields}


class _Waiting:
    """Holds the metrics of one step while the device works on the next."""

    def __init__(self, batch_size: int, max_skipped: int):
        self.batch_size, self.max_skipped = batch_size, max_skipped
        self.held: tuple[int, int, dict[str, jax.Array]] | None = None
        self.bad: list[str] = []
        self.time = time.monotonic()

    def swap(self, *new: Any) -> Record | None:
        """Take (step, position, metrics) or nothing; give back the record held before."""
        held, self.held = self.held, new or None
        step, position, arrays = held or (0, 0, {})
        metrics = {name: float(value) for name, value in jax.device_get(arrays).items()}
        seconds, self.time = time.monotonic() - self.time, time.monotonic()
        if held is None:
            return None
        examples = f"{position}-{position + self.batch_size - 1}"
        self.bad = [*self.bad, examples] if metrics["skipped"] else []
        if metrics["skipped"] >= self.max_skipped:
            raise FloatingPointError(
                f"step {step}: a loss or gradient was not finite {int(metrics['skipped'])} times "
                f"in a row, at examples {', '.join(self.bad)}; the run was saved: lower "
                "optim.lr, set optim.clip, or look at these examples"
            )
        return {"event": "step", "step": step, "examples": examples, "seconds": seconds, **metrics}


def _centre(picture: np.ndarray, side: int) -> np.ndarray:
    height, width = (min(side, n) for n in picture.shape[:2])
    y, x = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return picture[y : y + height, x : x + width]

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

from jaxsr.evaluation.evaluate import naming
from jaxsr.evaluation.measures import better
from jaxsr.interop.load import load, load_discriminator, load_vgg
from jaxsr.networks.discriminators import DISCRIMINATORS
from jaxsr.networks.weights import Weights, arch_spec
from jaxsr.training import data, store
from jaxsr.training import mesh as meshes
from jaxsr.training.checkpoint import Checkpoints
from jaxsr.training.config import discriminator, dump_config, generator
from jaxsr.training.log import Log
from jaxsr.training.pictures import Pictures, scan_of
from jaxsr.training.run import check_run, saved_step, write_config
from jaxsr.training.schema import Config
from jaxsr.training.state import TrainState, abstract_state, ema_weights, init_state
from jaxsr.training.step import Step, make_step
from jaxsr.training.validation import Validation

Record = dict[str, Any]


def train(
    config: Config, run_dir: Path, *, mesh: Mesh | None = None
) -> Generator[Record, None, None]:
    """Train in `run_dir`, from its newest checkpoint on, and yield a record of each thing done.

    Each record names its `event`: `data`, `cache`, `start`, `baseline` (bicubic, at step 0), `step`
    (its metrics, handed out one step late), `unreadable`, `eval`, `save`, `preempted`, `end`.
    Closing the generator between two records saves first. Raises ValueError for what was asked
    wrongly, before anything is written, and FloatingPointError after `train.max_skipped`
    non-finite steps in a row, when it has saved.
    """
    mesh = mesh or meshes.make_mesh()
    meshes.check_batch(mesh, config.train.batch_size, config.train.accumulate)
    check_run(config, run_dir)
    pictures, dropped = scan_of(config)
    validation = Validation(config, mesh)
    starts = _starts(config) if saved_step(run_dir) is None else {}
    perceptual = config.loss.perceptual
    with naming("loss.perceptual.weights"):
        vgg = load_vgg(perceptual.weights, perceptual.features) if perceptual else None
    yield {"event": "data", "pictures": len(pictures.paths), "dropped": dropped}
    source = yield from _open(config, pictures)

    source[0]  # an error if no picture can be decoded, while nothing is written
    # Nobody writes before everybody has found nothing wrong.
    multihost_utils.sync_global_devices("checked")
    if meshes.first_process():
        write_config(config, run_dir)
    with contextlib.closing(Checkpoints(run_dir, keep=config.train.keep)) as checkpoints:
        run = _Run(config, mesh, checkpoints, source, validation)
        run.restore(starts)
        with contextlib.closing(Log(run_dir, step=run.step, every=config.train.log_every)) as log:
            yield from run.go(meshes.replicate(mesh, vgg), log)


def _starts(config: Config) -> dict[str, Weights]:
    """What `train.init` and `train.init_discriminator` name, if it fits, as "g" and "d"."""
    starts = {}
    if config.train.init:
        with naming("train.init"):
            starts["g"] = load(config.train.init)
        wanted = arch_spec(generator(config))
        _require_fit("init", "generator", arch_spec(starts["g"].arch), wanted)
    if config.train.init_discriminator:
        with naming("train.init_discriminator"):
            starts["d"] = load_discriminator(config.train.init_discriminator)
        got, wanted = (
            arch_spec(arch, registry=DISCRIMINATORS)
            for arch in (starts["d"].arch, discriminator(config))
        )
        _require_fit("init_discriminator", "discriminator", got, wanted)
    return starts


def _require_fit(field: str, section: str, got: dict[str, Any], wanted: dict[str, Any]) -> None:
    if got != wanted:
        raise ValueError(
            f"train.{field}: got weights of the {section} {got}, wanted {wanted}; "
            f"make the [{section}] section that of the weights, or name other weights"
        )


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
        codecs=config.data.codecs,
    )


class _Run:
    """The loop and what it carries from step to step."""

    state: TrainState
    step: int
    position: int

    def __init__(
        self,
        config: Config,
        mesh: Mesh,
        checkpoints: Checkpoints,
        source: data.Source,
        validation: Validation,
    ):
        self.config, self.mesh, self.checkpoints = config, mesh, checkpoints
        self.source, self.validation = source, validation
        self.best: Record = {}
        self.files: dict[str, Weights] = {}  # to be written beside the next checkpoint
        self.waiting = _Waiting(config)
        self.saved: int | None = None  # the step last saved
        self.unreadable = {-1}  # pictures reported; -1 stands for none

    def restore(self, starts: dict[str, Weights]) -> None:
        """Go on from the newest checkpoint; without one, from `starts` or fresh weights."""
        if self.checkpoints.latest is None:
            self.state = init_state(self.config, self.mesh, **starts)
        else:
            self.state, note = self.checkpoints.restore(abstract_state(self.config, self.mesh))
            # A best by another metric is none.
            if note["best"].get("metric") == self.config.eval.best:
                self.best = note["best"]
            self.saved = self.checkpoints.latest
        self.step, self.position = int(self.state.step), int(self.state.position)

    def go(self, vgg: Any, log: Log) -> Generator[Record, None, None]:
        """Step to the end.

        All that a step entails is done and logged before its first record is handed out: wherever
        the run is stopped, the resumed one has missed nothing.
        """
        config, train = self.config, self.config.train
        stages = {only: make_step(config, self.mesh, pixel_only=only) for only in (True, False)}
        batches = data.batches(
            self.source,
            position=self.position,
            batch_size=train.batch_size,
            workers=config.data.workers,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )
        try:
            yield from log.write([self._record("start", steps=train.steps)])
            if self.validation.examples and self.step == 0:
                yield from log.write([self._record("baseline", **self.validation.baseline())])
            preempted = False
            while self.step < train.steps and not preempted:
                step = stages[self.step < train.pixel_steps]
                records = self._advance(step, next(batches), vgg)
                preempted = self._preempted()
                if preempted:
                    records += self.waiting.swap() + self._save() + [self._record("preempted")]
                yield from log.write(records)
                self._give_up_if_never_finite()
            if not preempted:
                yield from log.write(
                    [self._record("end", best=self.best, unreadable=len(self.unreadable) - 1)]
                )
        except (GeneratorExit, FloatingPointError):
            log.write(self.waiting.swap() + self._save())
            raise
        finally:
            batches.close()

    def _advance(self, step: Step, batch: dict[str, np.ndarray], vgg: Any) -> list[Record]:
        """One step, and the evaluation and the saving that are due after it."""
        bad = set(batch.pop("bad").tolist()) - self.unreadable
        placed = meshes.global_batch(self.mesh, batch)
        self.state, metrics = step(self.state, placed, vgg)
        first, size = self.position, self.config.train.batch_size
        self.step, self.position = self.step + 1, self.position + size
        self.checkpoints.commit()
        records = [*self.waiting.swap(self.step, first, metrics), *self._report(bad)]
        evaluates = self._due(self.config.eval.every) and bool(self.validation)
        saves = self._due(self.config.train.save_every)
        if evaluates or saves:
            records += self.waiting.swap()
        if evaluates:
            records.append(self._evaluate())
        if saves:
            records += self._save()
        return records

    def _report(self, bad: set[int]) -> list[Record]:
        """Name the pictures of the batch that turned out to be unreadable, each once a run."""
        self.unreadable |= bad
        paths, fault = self.source.pictures.paths, self.source.fault
        return [self._record("unreadable", path=paths[i], reason=fault(i)) for i in sorted(bad)]

    def _preempted(self) -> bool:
        """Whether all processes stop after this step, since one of them was told to."""
        return jax.process_count() > 1 and multihost_utils.reached_preemption_sync_point(self.step)

    def _give_up_if_never_finite(self) -> None:
        if self.waiting.skipped >= self.config.train.max_skipped:
            raise FloatingPointError(
                f"step {self.step}: a loss or gradient was not finite {self.waiting.skipped} times "
                f"in a row, last at examples {', '.join(self.waiting.bad)}; the run was saved: "
                "lower optim.lr, set optim.clip, or look at these examples"
            )

    def _due(self, every: int) -> bool:
        """Every so many steps, at the border of the stages, and at the end."""
        train = self.config.train
        return self.step % every == 0 or self.step in (train.pixel_steps, train.steps)

    def _evaluate(self) -> Record:
        weights = ema_weights(self.config, self.state)
        mean = self.validation.figures(weights)
        name, host = self.config.eval.best, jax.device_get(weights)
        # Not finite: broken weights or a copied input, and neither is a best.
        value = mean.get(name, math.nan) if name else math.nan
        if name and better(name, value, than=self.best.get("value")):
            self.best = {"metric": name, "value": value, "step": self.step}
            self.files["best"] = host
        grid = self.validation.grid(host, title=f"step {self.step}")
        return self._record("eval", **mean, **({} if grid is None else {"grid": grid}))

    def _save(self) -> list[Record]:
        """Start to save this step, once."""
        if self.saved == self.step:
            return []
        self.saved = self.step
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
        return [self._record("save")]

    def _record(self, event: str, **fields: Any) -> Record:
        return {"event": event, "step": self.step, **fields}


class _Waiting:
    """Holds the metrics of one step while the device works on the next."""

    def __init__(self, config: Config):
        self.batch_size = config.train.batch_size
        penalty = config.loss.penalty
        self.lazy = penalty.every if penalty else 0  # steps from one gradient penalty to the next
        self.held: tuple[int, int, dict[str, jax.Array]] | None = None
        self.skipped, self.bad = 0, []  # non-finite steps in a row, and their examples
        self.time = time.monotonic()

    def swap(self, *new: Any) -> list[Record]:
        """Take (step, first example, metrics) or nothing; give back the record held, if any."""
        held, self.held = self.held, new or None
        if held is None:
            self.time = time.monotonic()
            return []
        step, first, arrays = held
        metrics = {name: float(value) for name, value in jax.device_get(arrays).items()}
        seconds, self.time = time.monotonic() - self.time, time.monotonic()
        examples = f"{first}-{first + self.batch_size - 1}"
        self.skipped = int(metrics["skipped"])
        self.bad = [*self.bad, examples] if self.skipped else []
        if self.lazy and step % self.lazy:
            metrics.pop("penalty", None)
        fields = {"examples": examples, "seconds": seconds, **metrics}
        return [{"event": "step", "step": step, **fields}]

"""What is measured and shown of the averaged weights in the course of a run."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxsr.evaluation.evaluate import (
    DEGRADED,
    Example,
    check_sizes,
    degraded,
    evaluate,
    read_pairs,
    read_set,
    super_resolve,
)
from jaxsr.evaluation.measures import Measures, make_measures, usual
from jaxsr.imaging.color import to_float
from jaxsr.imaging.find import find_pictures
from jaxsr.inference.sample import sample, tile
from jaxsr.interop.load import load_tensors
from jaxsr.networks.weights import Weights
from jaxsr.training.config import degradation, generator
from jaxsr.training.log import picture_grid, shown
from jaxsr.training.schema import Config

_sample = jax.jit(sample, static_argnames="count")
_degraded = jax.jit(degraded, static_argnums=2)
_by_weights = jax.jit(super_resolve, static_argnums=2)
_by_name = jax.jit(super_resolve, static_argnums=(0, 2))


class Validation:
    """The test set of a run, false where there is nothing to measure or show.

    Of noise to image there are no figures, only pictures of the same noise each time.
    """

    def __init__(self, config: Config, mesh: Mesh):
        arch, data = generator(config), config.data
        self._config, self._mesh, self._scale = config, mesh, arch.scale
        self._latent = getattr(arch, "latent", 0)
        # Of `data.val` alone beside pairs it is the default, bicubic.
        self._degradation = degradation(config)
        # What stands beside the network, and has to be beaten.
        self._simple = DEGRADED if arch.scale == 1 else "bicubic"
        self._measures = _measures(config) if data.val else None
        self.examples = _examples(config)
        if self._measures:
            check_sizes(self.examples, self._measures, scale=arch.scale)

    def __bool__(self) -> bool:
        return bool(self.examples or self._latent)

    def baseline(self) -> dict[str, Any]:
        """The figures of the method without a network, and its name."""
        return {"method": self._simple, **self.figures(self._simple)}

    def figures(self, method: Weights | str) -> dict[str, float]:
        """Mean over the test set of each metric, and what is `identical`; {} without a set."""
        if not self.examples:
            return {}
        result = evaluate(
            method,
            self.examples,
            degradation=self._degradation,
            measures=self._measures,
            mesh=self._mesh,
        )
        return {**result["mean"], "identical": result["identical"]}

    def grid(self, weights: Weights, *, title: str) -> np.ndarray | None:
        """Pictures of noise; or fixed crops in columns: the simple method, the network, the HR."""
        if not self._config.eval.images:
            return None
        return self._samples(weights) if self._latent else self._crops(weights, title)

    def _samples(self, weights: Weights) -> np.ndarray:
        key = jax.random.key(self._config.train.seed)
        weights = dataclasses.replace(weights, ranges=())  # to be looked at, whatever the units
        return tile(shown(_sample(key, weights, count=self._config.eval.images)))

    def _crops(self, weights: Weights, title: str) -> np.ndarray:
        scale, side = self._scale, self._config.eval.image_size
        side = max(side - side % scale, scale)
        examples = self.examples[: self._config.eval.images]
        crops = [_centre(e.like, side, scale)[None] for e in examples]
        small = [self._small(e, side) for e in examples]
        columns = {
            self._simple: [_by_name(self._simple, lr, scale) for lr in small],
            title: [_by_weights(weights, lr, scale) for lr in small],
            "original": crops,
        }
        return picture_grid({name: [shown(p[0]) for p in c] for name, c in columns.items()})

    def _small(self, example: Example, side: int) -> Any:
        """LR [1, h, w, C] of what is shown of a picture."""
        if example.lr is not None:
            return to_float(_centre(example.lr, side // self._scale)[None])
        hr, number = example.like, np.array([example.number], np.uint32)
        if self._degradation.crop is None:
            hr = _centre(hr, side, self._scale)
        lr = np.asarray(_degraded(number, hr[None], self._degradation))[0]
        return _centre(lr, side // self._scale)[None]


def _measures(config: Config) -> Measures:
    """What is measured unasked and what `[eval]` asks for; ValueError if `eval.best` is not."""
    arch, asked = generator(config), config.eval
    measures = make_measures(
        [*usual(arch.channels, scale=arch.scale), *asked.metrics],
        channels=arch.channels,
        lpips_states={", ".join(asked.lpips): [load_tensors(path) for path in asked.lpips]}
        if asked.lpips
        else {},
        dists_states=[load_tensors(path) for path in asked.dists],
    )
    if asked.best not in measures.names:
        raise ValueError(
            f"eval.best: got {asked.best}, but measured are {', '.join(measures.names)}"
        )
    return measures


def _examples(config: Config) -> list[Example]:
    arch, data = generator(config), config.data
    options: dict[str, Any] = {"channels": arch.channels, "ranges": data.ranges}
    if data.val_lr:
        return read_pairs(data.val, data.val_lr, scale=arch.scale, **options)
    if not data.val:
        return []
    examples = read_set(find_pictures(data.val), scale=arch.scale, **options)
    spec = degradation(config)
    if not spec.crop:
        return examples
    for example in examples:
        if min(example.like.shape[:2]) < spec.least:
            raise ValueError(
                f"data.val: {example.name} has {example.like.shape[0]} x {example.like.shape[1]} "
                f"pixels, wanted {spec.least} a side for degrade.kind = {config.degrade['kind']}; "
                "leave it out"
            )
    # A degradation of whole crops is compiled for each shape, and costs as much.
    return [e._replace(hr=_centre(e.like, spec.crop, arch.scale)) for e in examples]


def _centre(picture: np.ndarray, side: int, scale: int = 1) -> np.ndarray:
    """The middle, from a multiple of `scale` on, so that those of a pair show the same."""
    height, width = (min(side, n) for n in picture.shape[:2])
    y, x = (
        (n - m) // (2 * scale) * scale
        for n, m in zip(picture.shape[:2], (height, width), strict=True)
    )
    return picture[y : y + height, x : x + width]

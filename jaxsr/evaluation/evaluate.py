"""Pictures against pictures: the metrics of one method over a test set."""

import contextlib
import functools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxsr.evaluation.measures import Measures, measure, usual
from jaxsr.imaging import classical, files
from jaxsr.imaging.bands import Ranges, to_unit
from jaxsr.imaging.color import fit_channels, from_float, to_float
from jaxsr.imaging.degrade import degrade, is_eight_bit, with_levels
from jaxsr.imaging.find import Sources, find, pair
from jaxsr.inference.upscale import apply
from jaxsr.networks.weights import Weights

# Weights, the name of a classical method, or float LR [H, W, C] to SR on the host.
Method = Weights | str | Callable[[np.ndarray], np.ndarray]

# The rows of what networks of scale 1 are given, with originals and without.
DEGRADED, INPUT = "degraded", "input"


class Example(NamedTuple):
    """A picture of a test set, of a name of its own: [H, W, C], sides multiples of the scale.

    What `degrade.is_eight_bit` is uint8; all else is float32, 0 to 1 in its ranges or those of its
    integers, and neither its LR nor its SR is rounded. `lr` is the LR picture of a pair, of the
    same kind; without one LR is made. `hr` is None where there is no original, but an `lr`.
    """

    number: int
    name: str
    hr: np.ndarray | None
    lr: np.ndarray | None = None

    @property
    def like(self) -> np.ndarray:
        """What its SR is like but for the size."""
        picture = self.lr if self.hr is None else self.hr
        assert picture is not None
        return picture


def classical_methods(scale: int, *, original: bool = True) -> tuple[str, ...]:
    """The rows that need no weights, of pictures with an `original` or without."""
    if scale == 1:
        return (DEGRADED if original else INPUT,)
    return tuple(classical.CLASSICAL)


def read_set(
    paths: Sequence[Path], *, scale: int, channels: int = 3, ranges: Ranges = ()
) -> list[Example]:
    """Read a test set, crop each side to a multiple of the scale; grey is repeated to RGB.

    `channels=1` turns RGB to grey, as training does. A picture is called by its file, or by its
    whole path where two files are called alike. Raises ValueError for a picture that cannot be
    read, has other channels or is too small.
    """
    known = Counter(path.name for path in paths)
    names = [path.name if known[path.name] == 1 else path.as_posix() for path in paths]
    return [
        Example(number, name, _read(path, scale, channels, ranges, least=11 + 2 * scale))
        for number, (name, path) in enumerate(zip(names, paths, strict=True))
    ]


def _read(path: Path, scale: int, channels: int, ranges: Ranges, *, least: int = 1) -> np.ndarray:
    pixels = files.read(path).pixels
    height, width = (n - n % scale for n in pixels.shape[:2])
    if min(height, width) < least:
        raise ValueError(
            f"{path}: got {pixels.shape[:2]}, wanted {least} pixels a side for SSIM at x{scale}"
        )
    try:
        pixels = fit_channels(pixels[:height, :width], channels)
        return pixels if is_eight_bit(pixels.dtype, channels, ranges) else to_unit(pixels, ranges)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_pairs(
    source: Sources, lr: Sources, *, scale: int, channels: int = 3, ranges: Ranges = ()
) -> list[Example]:
    """Read HR pictures and the LR ones that `find.pair` finds, as `read_set` does.

    An HR picture is cropped to `scale` times the LR one, at the right and the bottom. Raises
    ValueError also where a picture of either has no other, and where more than that or anything
    less would be left.
    """
    found = find(source)
    partners, lonely = pair(found, source, lr, scale=scale)
    alone = [item.path for item, path in zip(found, partners, strict=True) if path is None]
    for path in [*alone, *lonely][:1]:
        raise ValueError(
            f"{path}: no picture of the other folder has its name, and {len(alone) + len(lonely)}"
            " of both are alone; rename or remove them"
        )
    examples = []
    for example, path in zip(
        read_set([f.path for f in found], scale=1, channels=channels, ranges=ranges),
        partners,
        strict=True,
    ):
        assert path is not None and example.hr is not None
        small = _read(path, 1, channels, ranges)
        height, width = (n * scale for n in small.shape[:2])
        left = example.hr.shape[0] - height, example.hr.shape[1] - width
        if not all(0 <= n < scale for n in left):
            raise ValueError(
                f"{path}: got {small.shape[:2]} pixels beside {example.hr.shape[:2]} of"
                f" {example.name}, wanted 1/{scale} of them"
            )
        examples.append(example._replace(hr=example.hr[:height, :width], lr=small))
    return examples


def read_inputs(paths: Sequence[Path], *, channels: int = 3, ranges: Ranges = ()) -> list[Example]:
    """Read pictures that have no original, as `read_set` does."""
    examples = read_set(paths, scale=1, channels=channels, ranges=ranges)
    return [example._replace(hr=None, lr=example.hr) for example in examples]


def check_sizes(examples: Sequence[Example], measures: Measures, *, scale: int) -> None:
    """Raise ValueError for a picture that is too small for a metric, before any is measured."""
    crop = _crop(scale)
    for example in {e.like.shape: e for e in reversed(examples)}.values():
        height, width, channels = example.like.shape
        if example.hr is None:
            height, width = height * scale, width * scale
        shapes = (1, height, width, channels), (1, height // scale, width // scale, channels)
        hr, lr = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
        original = None if example.hr is None else hr
        with naming(example.name):
            jax.eval_shape(
                functools.partial(measure, names=measures.names, crop=crop),
                *(measures.params, hr, original, lr),
            )


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """Begins what is refused within with a name, of a picture or of a field."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _crop(scale: int) -> int:
    return 0 if scale == 1 else scale


def evaluate(
    method: Method,
    examples: Sequence[Example],
    *,
    degradation: Any,
    measures: Measures | None = None,
    mesh: Mesh | None = None,
    seen: Callable[[Example, np.ndarray, np.ndarray], None] | None = None,
) -> dict[str, Any]:
    """Measure one method: `{"mean": {metric: value}, "identical": n, "images": {name: {metric:
    value}}}`.

    The input is made by `degradation`, a spec of `jaxsr.imaging.degrade`, for each example from a
    key of its own, where the example does not bring it. `measures` are the usual ones where None.
    Pictures of one shape go to the devices of the mesh together, one each. An infinite PSNR stays
    infinite under `images`; `identical` counts the pictures that have one, and the mean is over the
    others, where there are any. `seen` is called with each example, its LR and its SR [H, W, C].
    """
    scale = degradation.scale
    if isinstance(method, Weights) and method.arch.scale != scale:
        raise ValueError(
            f"scale: got {scale}, but the network's is {method.arch.scale}; pass that one"
        )
    if not isinstance(method, Weights | str):
        mesh = None  # the host works on one picture after the other
    measures = measures or Measures(usual(examples[0].like.shape[-1], scale=scale))
    score = _score(mesh, degradation, measures.names, seen is not None)
    images: dict[str, dict[str, float]] = {}
    for batch in _batches(examples, mesh.size if mesh else 1):
        with naming(batch[0].name):
            values, shown = jax.device_get(score(method, measures.params, *_place(mesh, batch)))
        for i, example in enumerate(batch):
            images[example.name] = {name: float(values[name][i]) for name in measures.names}
            if seen is not None:
                seen(example, *(pictures[i] for pictures in shown))
    images = {example.name: images[example.name] for example in examples}
    mean = {m: _mean([image[m] for image in images.values()]) for m in measures.names}
    identical = sum(math.inf in image.values() for image in images.values())
    return {"mean": mean, "identical": identical, "images": images}


def _mean(values: list[float]) -> float:
    """Over those of pictures that differ, or infinite."""
    differing = [value for value in values if value != math.inf]
    return math.fsum(differing) / len(differing) if differing else math.inf


def degraded(numbers: Any, hr: Any, degradation: Any) -> Any:
    """What a network is given for examples [N, H, W, C] of these numbers, float32 in [0, 1]."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), numbers)
    spec = with_levels(degradation, hr.dtype, channels=hr.shape[-1])
    return degrade(keys, jnp.asarray(to_float(hr)), spec)[0]


def super_resolve(method: Weights | str, lr: Any, scale: int) -> Any:
    """LR to SR, floats, by a network or a classical method; nothing is rounded or clipped."""
    if isinstance(method, Weights):
        return apply(method, lr)
    return lr if method in (DEGRADED, INPUT) else classical.enlarge(lr, scale, method=method)


@functools.cache
def _score(mesh: Mesh | None, degradation: Any, names: tuple[str, ...], shown: bool):
    """(method, params, numbers, hr, lr) -> metrics [N] each, and the LR and SR if `shown`.

    Every device works on its own pictures.
    """
    scale = degradation.scale

    def lower(numbers, hr, lr):
        if lr is not None:
            return jnp.asarray(to_float(lr))
        make = functools.partial(degraded, degradation=degradation)
        if mesh:  # or a degradation of one picture after the other takes all on every device
            part = P(mesh.axis_names[0])
            make = jax.shard_map(make, mesh=mesh, in_specs=part, out_specs=part)
        return make(numbers, hr)

    def judge(sr, params, hr, lr, original):
        # As it would be in a file like that of the original.
        like = original if hr is None else hr
        sr = from_float(sr, like.dtype)
        floats = to_float(sr), None if hr is None else to_float(hr), lr
        values = measure(params, *floats, names=names, crop=_crop(scale))
        return values, (lr, sr) if shown else None

    def score(method, params, numbers, hr, lr):
        small = lower(numbers, hr, lr)
        return judge(super_resolve(method, small, scale), params, hr, small, lr)

    out = NamedSharding(mesh, P()) if mesh else None
    by_name = jax.jit(score, static_argnums=0, out_shardings=out)
    by_weights = jax.jit(score, out_shardings=out)
    lowered, judged = jax.jit(lower, out_shardings=out), jax.jit(judge, out_shardings=out)

    def on_host(method, params, numbers, hr, lr):
        small = np.asarray(lowered(numbers, hr, lr))
        return judged(np.stack([method(picture) for picture in small]), params, hr, small, lr)

    def by_kind(method, *arguments):
        kind = {Weights: by_weights, str: by_name}.get(type(method), on_host)
        return kind(method, *arguments)

    return by_kind


def _batches(examples: Sequence[Example], size: int) -> Iterator[list[Example]]:
    by_shape: Mapping[Any, list[Example]] = defaultdict(list)
    for example in examples:
        shapes = [None if x is None else (x.shape, x.dtype) for x in (example.hr, example.lr)]
        by_shape[tuple(shapes)].append(example)
    for group in by_shape.values():
        for i in range(0, len(group), size):
            yield group[i : i + size]


def _place(mesh: Mesh | None, batch: list[Example]) -> tuple[Any, Any, Any]:
    """Numbers, HR and LR as arrays over the mesh; the last is repeated to fill the devices."""
    filled = batch + [batch[-1]] * ((mesh.size if mesh else 1) - len(batch))
    numbers = np.array([example.number for example in filled], np.uint32)
    sharding = NamedSharding(mesh, P(mesh.axis_names[0])) if mesh else None

    def placed(pictures):
        if pictures[0] is None:
            return None
        array = np.stack(pictures)
        if sharding is None:
            return array
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return placed(numbers), placed([e.hr for e in filled]), placed([e.lr for e in filled])

"""The metrics that an evaluation takes, by name, and all of them of a batch in one function."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsr.evaluation.niqe import niqe
from jaxsr.evaluation.perceptual import BACKBONES, dists, dists_params, lpips, lpips_params
from jaxsr.imaging import metrics


class Metric(NamedTuple):
    """How a metric is written, and whether "high", "low" or near "zero" is better."""

    label: str
    unit: str
    decimals: int
    better: str


# By the name, or what stands in it before the channel or the network: psnr_y, lpips_alex.
DESCRIPTIONS = {
    "psnr": Metric("PSNR", "dB", 3, "high"),
    "ssim": Metric("SSIM", "", 4, "high"),
    "ms_ssim": Metric("MS-SSIM", "", 4, "high"),
    "lpips": Metric("LPIPS", "", 4, "low"),
    "dists": Metric("DISTS", "", 4, "low"),
    "niqe": Metric("NIQE", "", 3, "low"),
    "shift": Metric("Shift", "levels", 2, "zero"),
    "consistency": Metric("Consistency", "levels", 2, "low"),
}


class Batch(NamedTuple):
    """Pictures [N, H, W, C] in [0, 1], the SR as it would be in a file; `hr` None without one."""

    sr: jax.Array
    hr: Any
    lr: jax.Array
    crop: int


class Measures(NamedTuple):
    """Names of metrics, and {name: parameters} of those that look through a network."""

    names: tuple[str, ...]
    params: dict[str, Any] = {}


def _compared(metric: Any, **options: Any) -> Callable[[Batch, Any], jax.Array]:
    return lambda batch, _: metric(batch.sr, batch.hr, crop=batch.crop, **options)


def _seen(metric: Any) -> Callable[[Batch, Any], jax.Array]:
    return lambda batch, params: metric(params, batch.sr, batch.hr, crop=batch.crop)


def _shifted(channel: int) -> Callable[[Batch, Any], jax.Array]:
    shift = metrics.color_shift
    return lambda batch, _: shift(batch.sr, batch.hr, crop=batch.crop)[:, channel]


METRICS: dict[str, Callable[[Batch, Any], jax.Array]] = {
    "psnr_y": _compared(metrics.psnr, luma=True),
    "ssim_y": _compared(metrics.ssim, luma=True),
    "psnr_rgb": _compared(metrics.psnr, luma=False),
    "ssim_rgb": _compared(metrics.ssim, luma=False),
    "psnr": _compared(metrics.psnr, luma=False),
    "ssim": _compared(metrics.ssim, luma=False),
    "ms_ssim_y": _compared(metrics.ms_ssim, luma=True),
    "ms_ssim_rgb": _compared(metrics.ms_ssim, luma=False),
    **{f"lpips_{backbone}": _seen(lpips) for backbone in BACKBONES},
    "dists": _seen(dists),
    "niqe": lambda batch, _: niqe(batch.sr, crop=batch.crop),
    **{f"shift_{channel}": _shifted(i) for i, channel in enumerate("rgb")},
    "consistency": lambda batch, _: metrics.consistency(batch.sr, batch.lr),
}

PHOTOGRAPH = ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb")
BANDS = ("psnr", "ssim")
SHIFT = ("shift_r", "shift_g", "shift_b")


def usual(channels: int, *, scale: int) -> tuple[str, ...]:
    """What is measured unasked: on Y and RGB, or, of pictures that have neither, over all bands."""
    if channels not in (1, 3):
        return BANDS
    # What restores must not keep its input.
    return (*PHOTOGRAPH, *SHIFT, "consistency") if scale > 1 else (*PHOTOGRAPH, *SHIFT)


def possible(channels: int) -> tuple[str, ...]:
    """What can be measured of pictures with an original."""
    every = (name for name in METRICS if name not in BANDS)
    return tuple(every) if channels in (1, 3) else BANDS


def described(name: str) -> dict[str, Any]:
    """A metric's name and the fields of `Metric`; one that is not known is written as it is."""
    base = next((b for b in DESCRIPTIONS if name == b or name.startswith(f"{b}_")), None)
    if base is None:
        return {"name": name} | Metric(name, "", 4, "")._asdict()
    rest = name[len(base) + 1 :]
    metric = DESCRIPTIONS[base]
    label = f"{metric.label} {rest.upper() if len(rest) <= 3 else rest}".strip()
    return {"name": name} | metric._replace(label=label)._asdict()


def better(name: str, value: float, than: float | None) -> bool:
    """Whether a metric has gained: `value` is finite, and `than` None or worse."""
    sign = -1 if described(name)["better"] == "low" else 1
    return math.isfinite(value) and (than is None or sign * value > sign * than)


def make_measures(
    names: Iterable[str],
    *,
    channels: int,
    lpips_states: Mapping[str, Sequence[Mapping[str, Any]]] = {},
    dists_states: Sequence[Mapping[str, Any]] = (),
) -> Measures:
    """Check names and read what networks need: of each LPIPS the tensors of its files, of DISTS.

    `lpips_states` maps what is said of files that are refused to their tensors.
    Raises ValueError for a metric that does not exist, needs weights, or needs photographs.
    """
    params: dict[str, Any] = {}
    for said, states in lpips_states.items():
        try:
            read = lpips_params(*states)
        except ValueError as error:
            raise ValueError(f"{said}: {error}") from error
        params[f"lpips_{next(kind for kind in BACKBONES if kind in read)}"] = read
    if dists_states:
        params["dists"] = dists_params(*dists_states)
    known = possible(channels)
    names = tuple(dict.fromkeys([*names, *params]))
    for name in names:
        if name not in known:
            raise ValueError(
                f"got the metric {name!r}, wanted one of {', '.join(known)} for {channels} channels"
            )
        if name.startswith(("lpips", "dists")) and name not in params:
            option = name.partition("_")[0]
            raise ValueError(f"{name} looks through a network; name its files with --{option}")
    return Measures(names, params)


def measure(
    params: Mapping[str, Any], sr: Any, hr: Any, lr: Any, *, names: Sequence[str], crop: int
) -> dict[str, jax.Array]:
    """Each metric, [N], of floats [N, H, W, C] in [0, 1]; grey is repeated to RGB."""
    if sr.shape[-1] == 1:
        sr, hr, lr = (None if x is None else jnp.repeat(x, 3, axis=-1) for x in (sr, hr, lr))
    batch = Batch(sr, hr, lr, crop)
    return {name: METRICS[name](batch, params.get(name)) for name in names}

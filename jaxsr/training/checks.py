"""The rules that join several fields of a config."""

import difflib
from collections.abc import Sequence
from typing import Any

from jaxsr.evaluation.measures import described, possible, usual
from jaxsr.imaging.bands import check_ranges
from jaxsr.imaging.bsrgan import BSRGAN
from jaxsr.imaging.degrade import Bicubic
from jaxsr.imaging.realworld import RealESRGAN
from jaxsr.networks.features import smallest
from jaxsr.training.codecs import is_writable
from jaxsr.training.losses import PIXEL_LOSSES
from jaxsr.training.schema import Config, Loss


def check(config: Config, g: Any, d: Any, spec: Any) -> None:
    """Refuse, by ValueError, fields that do not go together; the others are made of them."""
    loss, train = config.loss, config.train
    for name in loss.pixel:
        if name not in PIXEL_LOSSES:
            raise ValueError(unknown_key(f"loss.pixel.{name}", name, list(PIXEL_LOSSES)))
    if not (loss.pixel or loss.perceptual or loss.adversarial):
        raise ValueError("loss: got no term; wanted one at least, such as loss.pixel.l1 = 1.0")
    if not config.data.train:
        raise ValueError("data.train: got nothing; name a folder, a file or a glob of pictures")
    if train.steps * train.batch_size > 2**32:
        raise ValueError(
            f"train.steps: got {train.steps} of {train.batch_size} examples, wanted at most 2^32 "
            "examples in a run; lower it"
        )
    _check_task(config, g, spec)
    if config.data.crop % g.scale:
        raise ValueError(
            f"data.crop: got {config.data.crop}, wanted a multiple of generator.scale = {g.scale}"
        )
    if loss.perceptual and not loss.perceptual.features:
        raise ValueError(
            "loss.perceptual.layers: got none and no content; set one, such as { conv5_4 = 1.0 }"
        )
    # SSIM has a window of 11 pixels; each block of VGG but the first halves the picture.
    least = max(11 if "ssim" in loss.pixel else 1, _least_for_vgg(loss))
    if config.data.crop < least:
        raise ValueError(
            f"data.crop: got {config.data.crop}, wanted {least} at least for the terms of loss"
        )
    if loss.perceptual and g.channels not in (1, 3):
        raise ValueError(
            f"loss.perceptual: VGG sees 1 or 3 channels, got generator.channels = {g.channels}; "
            "remove the term"
        )
    if train.pixel_steps and not loss.pixel:
        raise ValueError("train.pixel_steps: the pixel stage has no loss; set loss.pixel.l1 = 1.0")
    if config.optim.schedule == "multistep" and not config.optim.milestones:
        raise ValueError("optim.schedule: multistep needs optim.milestones = [step, ...]")
    if config.optim.schedule == "cosine_restarts" and not config.optim.period:
        raise ValueError("optim.schedule: cosine_restarts needs optim.period = steps")
    if list(config.optim.milestones) != sorted(set(config.optim.milestones)):
        raise ValueError(f"optim.milestones: got {config.optim.milestones}, wanted a rising list")
    if train.pixel_steps > train.steps:
        raise ValueError(
            f"train.pixel_steps: got {train.pixel_steps}, wanted at most the {train.steps} steps"
        )
    _check_players(config, g, d)


def _least_for_vgg(loss: Loss) -> int:
    """The least crop that reaches the features; an unknown name is for the file to refuse."""
    wanted = loss.perceptual.features if loss.perceptual else ()
    return smallest(
        [name for name in wanted if name[4:5].isdecimal() or name in ("pooled", "head")]
    )


def _check_task(config: Config, g: Any, spec: Any) -> None:
    """What goes into the network: reduced pictures, degraded ones, or noise."""
    train, loss, data = config.train, config.loss, config.data
    if getattr(g, "latent", 0):
        fed = {"loss.pixel": loss.pixel, "loss.perceptual": loss.perceptual, "data.lr": data.lr}
        fed |= {"train.pixel_steps": train.pixel_steps, "data.val": data.val}
        fed |= {"data.codecs": [codec.codec for codec in data.codecs]}
        for name, value in fed.items():
            if value:
                raise ValueError(
                    f"{name}: got {value!r}, but this generator makes pictures of noise, which "
                    "have no original to compare with; remove it"
                )
        if data.crop != g.size:
            raise ValueError(f"data.crop: got {data.crop}, wanted generator.size = {g.size}")
    _check_degradation(config, g, spec)
    try:
        check_ranges(data.ranges, g.channels)
    except ValueError as error:
        raise ValueError(f"data.ranges: {error}") from error
    _check_codecs(config, g)
    _check_metrics(config, g)


def _check_codecs(config: Config, g: Any) -> None:
    """Codecs that can be written, of pictures that they hold and that are then degraded."""
    data = config.data
    if data.codecs and data.lr:
        raise ValueError(
            "data.codecs: got it beside data.lr, whose pictures are taken as they are; remove one"
        )
    if data.codecs and (g.channels not in (1, 3) or data.ranges):
        got = "data.ranges" if data.ranges else f"generator.channels = {g.channels}"
        raise ValueError(
            f"data.codecs: got it with {got}, but these files hold 8-bit grey and RGB; remove it"
        )
    for position, (codec, quality) in enumerate((c.codec, c.quality) for c in data.codecs):
        where = f"data.codecs[{position}]"
        if quality[0] > quality[1]:
            raise ValueError(f"{where}.quality: got {quality}, wanted the lower number first")
        if not is_writable(codec):
            raise ValueError(
                f"{where}.codec: got {codec}, which the Pillow installed here cannot write; "
                "install one that can (pip install --upgrade pillow), or take another codec"
            )


def _check_metrics(config: Config, g: Any) -> None:
    """Metrics that exist and are measured; the best of one that has no direction is none."""
    asked, known = config.eval, possible(g.channels)
    for name in asked.metrics:
        if name not in known or name.startswith(("lpips", "dists")):
            plain = [n for n in known if not n.startswith(("lpips", "dists"))]
            raise ValueError(
                f"eval.metrics: got {name}, wanted some of {', '.join(plain)} for {g.channels} "
                "channels; LPIPS and DISTS are measured where eval.lpips and eval.dists name files"
            )
    measured = {*usual(g.channels, scale=getattr(g, "scale", 1)), *asked.metrics}
    measured |= {n for n in known if n.startswith("lpips") and asked.lpips}
    measured |= {"dists"} if asked.dists else set()
    best = [name for name in known if name in measured and described(name)["better"] != "zero"]
    if asked.best not in (None, *best):
        raise ValueError(
            f"eval.best: got {asked.best}, wanted one of {', '.join(best)}, which are measured"
        )


def _check_degradation(config: Config, g: Any, spec: Any) -> None:
    """A degradation is stated where it is used, and known where `data.val` is measured."""
    data, latent = config.data, getattr(g, "latent", 0)
    least = max(data.crop, spec.least)
    if spec.crop and (spec.crop < least or spec.crop % g.scale):
        raise ValueError(
            f"degrade.crop: got {spec.crop}, wanted a multiple of generator.scale = {g.scale}, and "
            f"{least} pixels at least; set it to {-(-max(spec.crop, least) // g.scale) * g.scale}"
        )
    if isinstance(spec, RealESRGAN | BSRGAN) and (g.channels not in (1, 3) or data.ranges):
        got = "data.ranges" if data.ranges else f"generator.channels = {g.channels}"
        raise ValueError(
            f"degrade.kind: got {config.degrade['kind']} with {got}, but it degrades 8-bit grey "
            "and RGB; take a chain of operations instead"
        )
    stated = spec != Bicubic(g.scale)
    if stated and (latent or data.lr):
        why = "this generator makes pictures of noise" if latent else "data.lr is taken as it is"
        raise ValueError(f"degrade: got {config.degrade!r}, but {why}; remove the section")
    if data.val_lr and not data.val:
        raise ValueError("data.val_lr: got it without data.val; name the HR pictures of the pairs")
    if latent or g.scale > 1:
        return
    plain = config.degrade.get("kind", "bicubic") == "bicubic"
    instead = "data.lr" if data.lr else "data.codecs" if data.codecs and plain else None
    if instead and data.val and not data.val_lr:
        raise ValueError(
            f"data.val: got it beside {instead} at scale 1, where nothing says how to degrade it; "
            "name its degraded pictures in data.val_lr"
        )
    if plain and not instead:
        raise ValueError(
            "degrade.kind: got bicubic at scale 1, which changes nothing; set a kind to restore "
            "from, such as noise"
        )


def _check_players(config: Config, g: Any, d: Any) -> None:
    loss, crop = config.loss, config.data.crop
    if bool(d) != bool(loss.adversarial):
        have, lack = (
            ("discriminator", "loss.adversarial") if d else ("loss.adversarial", "discriminator")
        )
        raise ValueError(f"{have}: got it without {lack}; a game needs both, a pixel run neither")
    if not d:
        fields = {
            "loss.penalty": loss.penalty,
            "train.pixel_steps": config.train.pixel_steps,
            "train.init_discriminator": config.train.init_discriminator,
        }
        for field in (name for name, value in fields.items() if value):
            raise ValueError(
                f"{field}: got it without loss.adversarial; add that term or remove this"
            )
        return
    if d.channels != g.channels:
        raise ValueError(
            f"discriminator.channels: got {d.channels}, wanted generator.channels = {g.channels}"
        )
    if crop < d.min_size or crop % d.multiple:
        raise ValueError(
            f"data.crop: got {crop}, wanted a multiple of {d.multiple} from {d.min_size} on "
            f"for {type(d).__name__}"
        )


def unknown_key(where: str, name: str, known: Sequence[str]) -> str:
    """The sentence about a key that no section knows."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return f"{where}: no such key; did you mean {near[0]!r}? (known: {', '.join(known)})"

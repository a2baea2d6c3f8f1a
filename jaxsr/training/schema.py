"""The fields of a config and their defaults, as frozen structs.

Defaults of a network stand on its module and those of a degradation on its spec; all others stand
here.
"""

from typing import Annotated, Any, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Weight = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
Quality = Annotated[int, msgspec.Meta(ge=1, le=100)]
Paths = str | tuple[str, ...]


class Perceptual(msgspec.Struct, frozen=True, kw_only=True):
    """Distance of VGG features; `layers` maps torchvision's names (conv5_4, relu5_4) to weights.

    `content` adds the distance of what the network as a whole says of both pictures: its last
    features, `pooled` over the picture, or the logits of its classifier, `head`.
    """

    weights: str
    layers: dict[str, float] = {}
    weight: Weight = 1.0
    content: Literal["pooled", "head"] | None = None
    content_weight: Weight = 1.0
    criterion: Literal["l1", "l2"] = "l1"

    @property
    def features(self) -> tuple[str, ...]:
        """All that is asked of VGG."""
        return (*self.layers, *([self.content] if self.content else []))


class Adversarial(msgspec.Struct, frozen=True, kw_only=True):
    """The game between generator and discriminator; `weight` scales the generator's side only."""

    weight: Weight
    kind: Literal["vanilla", "relativistic", "lsgan", "hinge", "wgan"] = "vanilla"


class Penalty(msgspec.Struct, frozen=True, kw_only=True):
    """Gradient penalty of D, every `every` steps and then `every` times as strong.

    Of it those are logged that fall on a step of `train.log_every`.
    """

    kind: Literal["r1", "wgan_gp"]
    weight: Weight = 10.0
    every: Positive = 1


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """`pixel` maps names of losses to weights; the other terms are off where absent."""

    pixel: dict[str, Weight] = {}
    perceptual: Perceptual | None = None
    adversarial: Adversarial | None = None
    penalty: Penalty | None = None


class Codec(msgspec.Struct, frozen=True, kw_only=True):
    """A lossy file that some crops go through, of a quality drawn between the two stated."""

    codec: Literal["jpeg", "webp", "avif"]
    quality: tuple[Quality, Quality]
    probability: Probability = 1.0


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """Pictures: files, folders, globs or `package:NAME/PATH`; `lr` and `val_lr` those of pairs.

    `ranges` holds what stands for 0 and 1 in each band, or one pair for all; absent: the ends of
    the integers' type. `codecs` code the training crops on the host, one after the other, before
    they are degraded; what the network is to make of them, and `val`, are never coded.
    """

    train: Paths
    lr: Paths | None = None
    val: Paths = ()
    val_lr: Paths | None = None  # absent: as `degrade` says, or by bicubic
    crop: Positive = 128  # HR pixels
    flip: bool = True  # mirror half of the crops
    turn: bool = True  # turn crops by 0, 90, 180 or 270 degrees
    ranges: tuple[tuple[float, float], ...] = ()
    codecs: tuple[Codec, ...] = ()
    workers: Count = 0
    cache: Literal["none", "memory", "disk"] = "none"


class Optim(msgspec.Struct, frozen=True, kw_only=True):
    """Both players' optimiser; the rates are functions of the step of the run."""

    name: Literal["adam", "adamw", "sgd"] = "adam"
    lr: Weight = 2e-4
    d_lr: Weight | None = None  # absent: lr
    betas: tuple[Share, Share] = (0.9, 0.99)
    eps: Weight = 1e-8
    weight_decay: Weight = 0.0  # adamw
    schedule: Literal["constant", "multistep", "cosine", "cosine_restarts"] = "constant"
    warmup: Count = 0  # steps of linear rise, the first at 1 / warmup
    milestones: tuple[
        Positive, ...
    ] = ()  # multistep: the steps at which the rate is multiplied by factor
    factor: Weight = 0.5
    period: Positive | None = None  # cosine_restarts: steps of one period
    min_lr: Weight = 1e-7  # the floor of both cosines
    clip: Weight = 0.0  # largest global norm of a gradient; 0: not clipped
    ema: Share = 0.999


class Train(msgspec.Struct, frozen=True, kw_only=True):
    """The length of the run and how it is stepped, logged and saved."""

    steps: Positive
    pixel_steps: Count = 0  # the first steps, which train the generator with the pixel terms alone
    batch_size: Positive = 16  # of all devices and processes together
    # Parts that a batch is split into, one after the other; what is taken over a batch (statistics,
    # the relativistic mean, an iteration of the spectral norm) is then taken over a part.
    accumulate: Positive = 1
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] = 0
    dtype: Literal["float32", "bfloat16"] = "float32"  # of computation; parameters are float32
    init: str | None = None  # weights to start from
    init_discriminator: str | None = None  # likewise
    save_every: Positive = 1000
    keep: Positive = 2  # checkpoints kept
    log_every: Positive = 100
    max_skipped: Positive = 10  # non-finite steps in a row after which the run stops


class Eval(msgspec.Struct, frozen=True, kw_only=True):
    """Evaluation of the averaged weights on `data.val`; of noise to image, a grid alone."""

    every: Positive = 1000
    metrics: tuple[str, ...] = ()  # beside the usual ones: ms_ssim_y, ms_ssim_rgb, niqe
    lpips: tuple[str, ...] = ()  # files of network and heads, as ["alexnet", "lpips-alex"]
    dists: tuple[str, ...] = ()  # files of VGG16, and of alpha and beta
    best: str | None = None  # the metric whose best weights are kept; absent: psnr_y, or psnr
    images: Count = 4  # pictures in the grid
    image_size: Positive = 256  # HR pixels of a side of its crops


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All of a run; three of the sections hold the fields of what they name."""

    generator: dict[str, Any]
    discriminator: dict[str, Any] | None = None
    loss: Loss
    degrade: dict[str, Any] = msgspec.field(default_factory=lambda: {"kind": "bicubic"})
    data: Data
    optim: Optim = Optim()
    train: Train
    eval: Eval = Eval()

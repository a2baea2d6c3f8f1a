"""Configs: TOML in and out, overrides, refusals that name the field, and those that ship."""

import tomllib
from pathlib import Path

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import pytest
import tomli_w
from toy import run_steps, toy_batch

from jaxsr.imaging.degrade import Bicubic
from jaxsr.networks.discriminators import UNetDiscriminatorSN
from jaxsr.networks.generators import SRVGGNetCompact
from jaxsr.training.config import (
    degradation,
    discriminator,
    dump_config,
    generator,
    load_config,
    make_config,
)
from jaxsr.training.mesh import make_mesh
from jaxsr.training.schema import Config
from jaxsr.training.state import abstract_state
from jaxsr.training.step import make_step

CONFIG_DIR = Path(__file__).parents[2] / "configs"
CONFIGS = sorted(CONFIG_DIR.glob("*.toml"))


def tree(**sections) -> dict:
    """The least config, sections replaced or (None) removed."""
    least = {
        "generator": {"name": "compact", "scale": 2},
        "loss": {"pixel": {"l1": 1.0}},
        "data": {"train": "photographs"},
        "train": {"steps": 10},
    }
    return {name: section for name, section in (least | sections).items() if section is not None}


UNET = {"name": "unet", "num_features": 4}
GAME = {"pixel": {"l1": 1.0}, "adversarial": {"weight": 0.1}}
GAN = {"discriminator": UNET, "loss": GAME}
LATENT = {
    "generator": {"name": "dcgan", "size": 16},
    "discriminator": UNET,
    "loss": {"adversarial": {"weight": 1.0}},
    "data": {"train": "x", "crop": 16},
}


def write(path, **sections) -> Path:
    path.write_text(tomli_w.dumps(tree(**sections)))
    return path


def test_the_least_config_takes_the_stated_defaults():
    config = make_config(tree())
    assert generator(config) == SRVGGNetCompact(scale=2)
    assert discriminator(config) is None
    assert degradation(config) == Bicubic(scale=2, levels=None)
    assert (config.optim.name, config.optim.lr, config.optim.betas) == ("adam", 2e-4, (0.9, 0.99))
    assert (config.train.batch_size, config.train.seed, config.train.pixel_steps) == (16, 0, 0)
    assert (config.data.crop, config.data.workers, config.data.cache) == (128, 0, "none")
    assert config.loss.adversarial is None and config.eval.best == "psnr_y"


def test_a_file_is_read(tmp_path):
    path = write(
        tmp_path / "a.toml", **GAN, data={"train": ["é", "b"]}, degrade={"kind": "bicubic"}
    )
    config = load_config(path)
    assert config.data.train == ("é", "b")
    assert discriminator(config) == UNetDiscriminatorSN(num_features=4)
    assert config == make_config(tree(**GAN, data={"train": ["é", "b"]}))


@pytest.mark.parametrize(
    "override, section, field, value",
    [
        ("train.steps=7", "train", "steps", 7),
        ("optim.lr = 1e-3", "optim", "lr", 1e-3),
        ("data.train=DIV2K/HR", "data", "train", "DIV2K/HR"),
        ("data.train= a b=c ", "data", "train", "a b=c"),
        ('data.train=["a", "b"]', "data", "train", ("a", "b")),
        ('train.init="2024"', "train", "init", "2024"),
        ("generator.num_convs=3", "generator", "num_convs", 3),
        ("loss.pixel.l2=0.5", "loss", "pixel", {"l1": 1.0, "l2": 0.5}),
        ("eval.every=5", "eval", "every", 5),  # a section that the file has not
    ],
)
def test_an_override(tmp_path, override, section, field, value):
    config = load_config(write(tmp_path / "a.toml"), overrides=[override])
    of = getattr(config, section)
    assert (of[field] if isinstance(of, dict) else getattr(of, field)) == value


def test_the_last_override_holds(tmp_path):
    overrides = ["train.steps=7", "train.steps=8"]
    assert load_config(write(tmp_path / "a.toml"), overrides=overrides).train.steps == 8


@pytest.mark.parametrize(
    "override, words",
    [
        ("train.steps", "--set train.steps: wanted section.key=value"),
        ("steps=3", "--set steps=3: wanted section.key=value"),
        ("train.=3", "wanted section.key=value"),
        ("train.steps.more=3", "steps is a value, not a section"),
        ("train.step=3", "train.step: no such key; did you mean 'steps'"),
        ("train.steps=many", "train.steps: Expected `int`, got `str`"),
    ],
)
def test_a_bad_override_is_refused(tmp_path, override, words):
    with pytest.raises(ValueError, match=words):
        load_config(write(tmp_path / "a.toml"), overrides=[override])


def test_a_file_that_is_no_config(tmp_path):
    with pytest.raises(ValueError, match="no config at .*missing.toml; name a TOML file"):
        load_config(tmp_path / "missing.toml")
    for content in (b"[train\n", b"\xff\xfe"):
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(ValueError, match="bad.toml is not TOML"):
            load_config(tmp_path / "bad.toml")


PERCEPTUAL = {"weights": "vgg.safetensors", "layers": {"conv5_4": 1.0}}
JPEG = {"codec": "jpeg", "quality": [40, 90]}

REFUSED = {
    # unknown keys, at each level
    "trian: no such key; did you mean 'train'": {"trian": {}},
    "optim.learn_rate: no such key; did you mean": {"optim": {"learn_rate": 1}},
    "loss.perceptual.layer: no such key; did you mean 'layers'": {
        "loss": {"perceptual": {**PERCEPTUAL, "layer": 1}}
    },
    "loss.adversarial.weigth: no such key; did you mean 'weight'": {
        "loss": {"adversarial": {"weigth": 1.0}}
    },
    "loss.penalty.evry: no such key; did you mean 'every'": {
        "loss": {"penalty": {"kind": "r1", "evry": 1}}
    },
    "loss.pixel.l3: no such key; did you mean 'l[12]'": {"loss": {"pixel": {"l3": 1.0}}},
    "generator: unknown network 'compct'; did you mean 'compact'": {
        "generator": {"name": "compct", "scale": 2}
    },
    "generator: unknown field of compact 'num_conv'; did you mean 'num_convs'": {
        "generator": {"name": "compact", "scale": 2, "num_conv": 1}
    },
    "discriminator: unknown network 'unte'; did you mean 'unet'": {
        **GAN,
        "discriminator": {"name": "unte"},
    },
    "degrade.kind: got 'bicubc', wanted one of bicubic": {"degrade": {"kind": "bicubc"}},
    "degrade.kind: got 'haze'": {"degrade": {"kind": "haze"}},
    "degrade.kind: got bicubic at scale 1, which changes nothing": {
        "generator": {"name": "compact", "scale": 1}
    },
    r"degrade.steps\[1\].op: got 'nose', .* did you mean 'noise'": {
        "degrade": {"kind": "chain", "steps": [{"op": "blur"}, {"op": "nose"}]}
    },
    # noise to image
    "loss.pixel: got .'l1': 1.0., but this generator makes pictures of noise": {
        **LATENT,
        "loss": {**GAME, "pixel": {"l1": 1.0}},
    },
    "data.val: got 'x', but this generator makes": {
        **LATENT,
        "data": {"train": "x", "val": "x", "crop": 16},
    },
    "data.crop: got 128, wanted generator.size = 16": {**LATENT, "data": {"train": "x"}},
    # bands
    "data.ranges: got 2 ranges for 3 bands; state one pair for each band, or one for all": {
        "data": {"train": "x", "ranges": [[0, 1], [0, 1]]}
    },
    r"data.ranges: got the range \[1.0, 1.0\]; state \[low, high\]": {
        "data": {"train": "x", "ranges": [[1, 1]]}
    },
    r"data.ranges: got the range \[0.0, inf\]; state \[low, high\]": {
        "data": {"train": "x", "ranges": [[0, float("inf")]]}
    },
    # what is given to the network beside a degradation
    "degrade: got .'kind': 'noise'., but this generator makes pictures of noise; remove the sec": {
        **LATENT,
        "degrade": {"kind": "noise"},
    },
    "degrade: got .'levels': 0., but this generator makes pictures of noise": {
        **LATENT,
        "degrade": {"levels": 0},
    },
    "degrade: got .'kind': 'noise'., but data.lr is taken as it is; remove the section": {
        "data": {"train": "x", "lr": "y"},
        "degrade": {"kind": "noise"},
    },
    "data.val: got it beside data.lr at scale 1, .* name its degraded pictures": {
        "generator": {"name": "compact", "scale": 1},
        "data": {"train": "x", "lr": "y", "val": "z"},
    },
    "data.val_lr: got it without data.val": {"data": {"train": "x", "lr": "y", "val_lr": "z"}},
    # codecs
    r"data.codecs\[1\].qualty: no such key; did you mean 'quality'": {
        "data": {"train": "x", "codecs": [JPEG, {**JPEG, "qualty": 1}]}
    },
    r"data.codecs\[0\].codec: Invalid enum value 'heic'": {
        "data": {"train": "x", "codecs": [{**JPEG, "codec": "heic"}]}
    },
    r"data.codecs\[0\].quality\[1\]: Expected `int` <= 100": {
        "data": {"train": "x", "codecs": [{**JPEG, "quality": [40, 101]}]}
    },
    r"data.codecs\[0\].quality: got \(90, 40\), wanted the lower number first": {
        "data": {"train": "x", "codecs": [{**JPEG, "quality": [90, 40]}]}
    },
    "data.codecs: got it beside data.lr, whose pictures are taken as they are": {
        "data": {"train": "x", "lr": "y", "codecs": [JPEG]}
    },
    r"data.codecs: got \['jpeg'\], but this generator makes pictures of noise": {
        **LATENT,
        "data": {"train": "x", "crop": 16, "codecs": [JPEG]},
    },
    "data.codecs: got it with generator.channels = 6, but these files hold 8-bit grey and RGB": {
        "generator": {"name": "compact", "scale": 2, "channels": 6},
        "data": {"train": "x", "codecs": [JPEG]},
    },
    "data.codecs: got it with data.ranges, but these files hold 8-bit": {
        "data": {"train": "x", "ranges": [[0, 255]], "codecs": [JPEG]}
    },
    "data.val: got it beside data.codecs at scale 1": {
        "generator": {"name": "compact", "scale": 1},
        "data": {"train": "x", "val": "y", "codecs": [JPEG]},
    },
    "eval.best: got psnr_y, wanted one of psnr, ssim, which are measured": {
        "generator": {"name": "compact", "scale": 2, "channels": 6},
        "eval": {"best": "psnr_y"},
    },
    "eval.best: got psnr, wanted one of psnr_y": {"eval": {"best": "psnr"}},
    "data.crop: got 8, wanted 11 at least": {
        "data": {"train": "x", "crop": 8},
        "loss": {"pixel": {"ssim": 1.0}},
        "discriminator": None,
    },
    "train.pixel_steps: got 11": {"train": {"steps": 10, "pixel_steps": 11}},
    "train.steps: got 1000000000 of 16": {"train": {"steps": 10**9}},
    "optim.milestones: got": {"optim": {"milestones": [5, 5]}},
    "degrade.level: no such key; did you mean 'levels'": {
        "degrade": {"kind": "bicubic", "level": 1}
    },
    "degrade.scale: no such key": {"degrade": {"kind": "bicubic", "scale": 2}},
    # wrong types and ranges
    r"train.steps: Expected `int`, got `str` \('ten'\); mend": {"train": {"steps": "ten"}},
    "train.steps: Expected `int` >= 1": {"train": {"steps": 0}},
    "train: Expected `object`, got `int`": {"train": 3},
    "train: it lacks `steps`": {"train": {}},
    "config: it lacks `data`": {"data": None},
    "optim.betas: Expected `array` of length 2": {"optim": {"betas": [0.9]}},
    "optim.schedule: Invalid enum value 'linear'": {"optim": {"schedule": "linear"}},
    "optim.ema: Expected `float` < 1": {"optim": {"ema": 1.0}},
    "loss.adversarial.kind: Invalid enum value 'gan'": {
        "loss": {"adversarial": {"kind": "gan", "weight": 1.0}}
    },
    "generator: .*num_features": {
        "generator": {"name": "compact", "scale": 2, "num_features": "x"}
    },
    "generator: got scale 5": {"generator": {"name": "compact", "scale": 5}},
    r"degrade.levels: Expected `int \| null`, got `str` \('x'\)": {
        "degrade": {"kind": "bicubic", "levels": "x"}
    },
    # rules across fields
    "loss: got no term; wanted one at least": {"loss": {}},
    "data.crop: got 33, wanted a multiple of generator.scale = 2": {
        "data": {"train": "x", "crop": 33}
    },
    "loss.perceptual.layers: got none and no content": {
        "loss": {"perceptual": {"weights": "vgg.safetensors"}}
    },
    "data.crop: got 16, wanted 32 at least for the terms of loss": {
        "data": {"train": "x", "crop": 16},
        "loss": {"perceptual": {"weights": "vgg.safetensors", "content": "head"}},
    },
    "loss.perceptual: VGG sees 1 or 3 channels, got generator.channels = 4": {
        "generator": {"name": "compact", "scale": 2, "channels": 4},
        "loss": {"perceptual": PERCEPTUAL},
    },
    "train.pixel_steps: the pixel stage has no loss": {
        "discriminator": UNET,
        "loss": {"adversarial": {"weight": 1.0}},
        "train": {"steps": 10, "pixel_steps": 5},
    },
    "optim.schedule: multistep needs optim.milestones": {"optim": {"schedule": "multistep"}},
    "optim.schedule: cosine_restarts needs optim.period": {
        "optim": {"schedule": "cosine_restarts"}
    },
    "discriminator: got it without loss.adversarial": {"discriminator": UNET},
    "loss.adversarial: got it without discriminator": {"loss": GAME},
    "train.pixel_steps: got it without loss.adversarial": {
        "train": {"steps": 10, "pixel_steps": 5}
    },
    "eval.best: got lpips_alex, wanted one of psnr_y, ": {"eval": {"best": "lpips_alex"}},
    "eval.best: got shift_r, wanted one of psnr_y, ": {"eval": {"best": "shift_r"}},
    "eval.metrics: got lpips_alex, wanted some of psnr_y, ": {"eval": {"metrics": ["lpips_alex"]}},
    "eval.metrics: got vmaf, wanted some of psnr_y, ": {"eval": {"metrics": ["vmaf"]}},
    "train.init_discriminator: got it without loss.adversarial": {
        "train": {"steps": 10, "init_discriminator": "d.pth"}
    },
    "loss.penalty: got it without loss.adversarial": {
        "loss": {"pixel": {"l1": 1.0}, "penalty": {"kind": "r1"}}
    },
    "discriminator.channels: got 3, wanted generator.channels = 1": {
        **GAN,
        "generator": {"name": "compact", "scale": 2, "channels": 1},
    },
    "data.crop: got 20, wanted a multiple of 8 from 8 on for UNetDiscriminatorSN": {
        **GAN,
        "data": {"train": "x", "crop": 20},
    },
    "degrade.crop: got 33, wanted a multiple of generator.scale = 2, and 34 pixels at least; "
    "set it to 34": {"degrade": {"kind": "bsrgan", "crop": 33}, "data": {"train": "x", "crop": 34}},
    "degrade.crop: got 32, wanted a multiple of generator.scale = 4, and 68 pixels at least": {
        "generator": {"name": "compact", "scale": 4},
        "degrade": {"kind": "realesrgan", "crop": 32},
        "data": {"train": "x", "crop": 32},
    },
    "degrade.kind: got bsrgan with generator.channels = 4, but it degrades 8-bit grey and RGB": {
        "generator": {"name": "compact", "scale": 2, "channels": 4},
        "degrade": {"kind": "bsrgan"},
    },
    "degrade.kind: got realesrgan with data.ranges, but it degrades 8-bit grey and RGB": {
        "degrade": {"kind": "realesrgan"},
        "data": {"train": "x", "ranges": [[0, 100]]},
    },
    "data.crop: got 30, wanted a multiple of 1 from 32 on for VGGStyleDiscriminator": {
        **GAN,
        "discriminator": {"name": "vgg_style"},
        "data": {"train": "x", "crop": 30},
    },
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_refusal_names_the_field(words):
    with pytest.raises(ValueError, match=f"^{words}"):
        make_config(tree(**REFUSED[words]))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_what_ships_survives_being_written(path, tmp_path):
    config = load_config(path)
    copy = tmp_path / "config.toml"
    copy.write_text(dump_config(config), encoding="utf-8")
    assert load_config(copy) == config
    assert "max_skipped" in copy.read_text()  # defaults are written out


def test_pairs_need_no_degradation():
    data = {"train": "x", "lr": "y"}
    assert make_config(tree(data={**data, "val": "z"})).data.lr == "y"
    one = make_config(tree(generator={"name": "compact", "scale": 1}, data=data))
    assert make_config(msgspec.to_builtins(one)) == one


def test_codecs_are_tables_in_order(monkeypatch):
    codecs = [JPEG, {"codec": "webp", "quality": [1, 100], "probability": 0.3}]
    data = {"train": "x", "codecs": codecs}
    config = make_config(tree(data=data))
    wanted = [("jpeg", (40, 90), 1.0), ("webp", (1, 100), 0.3)]
    assert [(c.codec, c.quality, c.probability) for c in config.data.codecs] == wanted
    assert make_config(tomllib.loads(dump_config(config))) == config
    # At scale 1 they alone are something to restore from.
    make_config(tree(generator={"name": "compact", "scale": 1}, data=data))
    monkeypatch.setattr("PIL.features.check", lambda feature: feature != "webp")
    with pytest.raises(ValueError, match=r"^data.codecs\[1\].codec: got webp, which the Pillow"):
        make_config(tree(data=data))


def test_zeros_and_empty_lists_survive_being_written(tmp_path):
    sections = {"degrade": {"kind": "bicubic", "levels": 0}, "eval": {"images": 0}}
    config = make_config(tree(**sections, optim={"lr": 0.0, "d_lr": 0.0, "min_lr": 0.0}))
    (tmp_path / "config.toml").write_text(dump_config(config))
    assert load_config(tmp_path / "config.toml") == config
    assert (degradation(config).levels, config.eval.images, config.optim.d_lr) == (0, 0, 0.0)


def test_all_the_configs_of_the_readme_are_there():
    assert {path.stem for path in CONFIGS} == {
        "quickstart",
        *("srresnet_x4", "srgan_x4", "msrresnet_x4", "msrgan_x4", "rrdbnet_x4", "esrgan_x4"),
        *("realesrnet_x4", "realesrgan_x4", "realesrgan_compact_x4", "bsrgan_x4"),
        *("compact_x4", "edsr_x4", "espcn_x4"),
        *("concat_x2", "encdec_x2", "espcn_gan_x4", "restore_gray", "dcgan"),
    }


SMALL = {
    "compact": {"num_convs": 1},
    "msrresnet": {"num_blocks": 1},
    "srresnet": {"num_blocks": 1},
    "rrdbnet": {"num_blocks": 1, "growth": 2},
    "edsr": {"num_blocks": 1},
    "concat": {"num_blocks": 1},
}


def shrunk(config: Config) -> Config:
    """The same recipe with the smallest networks, crops and batch."""
    toy = msgspec.to_builtins(config)
    toy["generator"] |= {"num_features": 4} | SMALL.get(config.generator["name"], {})
    if config.discriminator:
        narrow = {"num_features": 2, "features": [2] * 3}
        toy["discriminator"] |= {k: narrow[k] for k in narrow if k in config.discriminator}
    toy["data"]["crop"] = 32
    toy["degrade"] |= {"crop": 80} if "crop" in toy["degrade"] else {}
    toy["train"]["batch_size"] = 2
    return make_config(toy)


def narrow_vgg19() -> dict:
    """VGG19 two channels wide."""
    names = [f"conv{b}_{i}" for b, n in enumerate((2, 2, 4, 4, 4), 1) for i in range(1, n + 1)]
    rng = np.random.default_rng(0)
    widths = [3] + [2] * len(names)
    return {
        name: {
            "kernel": jnp.asarray(rng.normal(size=(3, 3, width, 2)) / 3, jnp.float32),
            "bias": jnp.full(2, 0.1),
        }
        for name, width in zip(names, widths, strict=False)
    }


def stages(config):
    return [True, False] if config.train.pixel_steps else [False]


def terms_of(config, *, pixel_only):
    """What the step of a stage measures."""
    terms = {*config.loss.pixel, "g_loss", "g_grad_norm", "lr", "skipped"}
    if pixel_only:
        return terms
    if config.loss.perceptual:
        terms |= {"perceptual"} | ({"content"} if config.loss.perceptual.content else set())
    if config.loss.adversarial:
        terms |= {"g_adversarial", "d_loss", "d_real", "d_fake", "d_grad_norm", "d_lr"}
    if config.generator["name"] == "dcgan":
        terms |= {"pairwise_distance", "pairwise_distance_real"}
    return terms


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_what_ships_has_a_step_of_each_stage(path):
    config = shrunk(load_config(path))
    vgg = narrow_vgg19() if config.loss.perceptual else None
    mesh = make_mesh(devices=1)
    state = abstract_state(config, mesh)
    for pixel_only in stages(config):
        step = make_step(config, mesh, pixel_only=pixel_only)
        with jax.debug_key_reuse(False):
            after, metrics = step.eval_shape(state, toy_batch(config), vgg)
        alike = jax.tree.map(lambda a, b: a.shape == b.shape and a.dtype == b.dtype, after, state)
        assert jax.tree.all(alike)
        assert set(metrics) == terms_of(config, pixel_only=pixel_only)


# Each takes long to compile; the other recipes repeat their parts.
@pytest.mark.parametrize(
    "name",
    [
        "quickstart",
        pytest.param("esrgan_x4", marks=pytest.mark.slow),
        pytest.param("dcgan", marks=pytest.mark.slow),
        pytest.param("realesrgan_x4", marks=pytest.mark.slow),
    ],
)
def test_what_ships_takes_a_step_of_each_stage(name):
    config = shrunk(load_config(CONFIG_DIR / f"{name}.toml"))
    vgg = narrow_vgg19() if config.loss.perceptual else None
    for pixel_only in stages(config):
        with jax.debug_key_reuse(False):
            _, (metrics,) = run_steps(
                config, 1, pixel_only=pixel_only, vgg=vgg, batches=[toy_batch(config)]
            )
        assert set(metrics) == terms_of(config, pixel_only=pixel_only)
        assert np.all(np.isfinite(list(metrics.values()))) and metrics["skipped"] == 0
        assert metrics["g_grad_norm"] > 0

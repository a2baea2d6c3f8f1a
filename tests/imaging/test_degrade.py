"""Degradations on the device against the host's resize; chains, and the tables that name them."""

import dataclasses
import tomllib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tomli_w

from jaxsr.imaging.bsrgan import BSRGAN
from jaxsr.imaging.degrade import (
    Bicubic,
    Chain,
    crop_alike,
    degradation_fields,
    degrade,
    draw_corner,
    make_degradation,
    with_levels,
)
from jaxsr.imaging.operations import OPS, Blur, DownUp, Jpeg, Noise, Poisson
from jaxsr.imaging.realworld import RealESRGAN
from jaxsr.imaging.resize import resize

# Black and white blocks, at whose edges bicubic overshoots [0, 1].
HR = np.random.default_rng(0).integers(0, 2, (2, 3, 2, 3)).repeat(4, 1).repeat(4, 2)
HR = HR.astype(np.float32)


@pytest.fixture
def keys():
    return jax.random.split(jax.random.key(0), len(HR))


def bicubic(scale):
    """Overshooting [0, 1] at scale 2."""
    return resize(HR.astype(np.float64), (12 // scale, 8 // scale))


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_bicubic_is_the_hosts_and_unrounded_is_unclipped(keys, scale):
    assert scale != 2 or bicubic(scale).min() < -0.01
    compiled = jax.jit(degrade, static_argnames="spec")
    lr, target, hr = compiled(keys, jnp.asarray(HR), Bicubic(scale, levels=0))
    np.testing.assert_allclose(lr, bicubic(scale), atol=1e-6)
    np.testing.assert_array_equal(target, HR)
    np.testing.assert_array_equal(hr, HR)


@pytest.mark.parametrize("levels", [255, 65535])
def test_levels_are_those_of_a_file(keys, levels):
    lr, _, _ = degrade(keys, jnp.asarray(HR), Bicubic(2, levels=levels))
    assert lr.dtype == jnp.float32
    expected = np.round(bicubic(2).clip(0, 1) * levels)
    assert np.abs(np.round(np.asarray(lr, np.float64) * levels) - expected).max() <= levels // 65535
    np.testing.assert_allclose(lr, np.round(np.asarray(lr) * levels) / levels, atol=1e-7)


@pytest.mark.parametrize("kind", [Bicubic(2), Chain(2, (Noise(),))])
def test_only_8_bit_grey_and_rgb_are_rounded_unless_told(keys, kind):
    for dtype, channels, ranges, levels in (
        (np.uint8, 1, (), 255),
        (np.uint8, 3, (), 255),
        (np.dtype("uint8"), 6, (), 0),
        (np.uint8, 3, ((0.0, 100.0),), 0),
        ("uint16", 1, (), 0),
        (np.float32, 3, (), 0),
    ):
        assert with_levels(kind, dtype, channels=channels, ranges=ranges).levels == levels
        told = dataclasses.replace(kind, levels=7)
        assert with_levels(told, dtype, channels=channels, ranges=ranges) is told
    with pytest.raises(ValueError, match="levels: got None; state 0 or 255, or apply with_levels"):
        degrade(keys, jnp.asarray(HR), kind)


def test_a_picture_is_degraded_alike_in_any_batch(keys):
    whole, _, _ = degrade(keys, jnp.asarray(HR), Bicubic(2, levels=255))
    alone, _, _ = degrade(keys[1:], jnp.asarray(HR[1:]), Bicubic(2, levels=255))
    np.testing.assert_array_equal(whole[1:], alone)


def test_sizes_must_divide(keys):
    with pytest.raises(ValueError, match="12 x 8 cannot be reduced 3 times; crop"):
        degrade(keys, jnp.asarray(HR), Bicubic(3, levels=0))


BLUR, NOISE, JPEG = Blur(ratio=(0.5, 1.0), size=5), Noise(), Jpeg()
ALL = Chain(1, (BLUR, DownUp(), NOISE, Poisson(), JPEG), levels=0)
COMPILED = jax.jit(degrade, static_argnames="spec")


def lr(spec, keys, hr):
    return np.asarray(COMPILED(keys, jnp.asarray(hr), spec)[0])


def random(*shape):
    return np.random.default_rng(1).random(shape).astype(np.float32)


@pytest.mark.parametrize(
    "shape",
    [pytest.param((2, 17, 26, 3), marks=pytest.mark.slow), (2, 8, 8, 1), (2, 11, 5, 6)],
)
def test_a_chain_takes_any_shape(keys, shape):
    hr = random(*shape)
    spec = Chain(1, ALL.steps, levels=255)
    result, target, same = COMPILED(keys, jnp.asarray(hr), spec)
    assert result.shape == shape and result.dtype == jnp.float32
    assert result.min() >= 0 and result.max() <= 1 and np.abs(result - hr).max() > 0.05
    np.testing.assert_allclose(result, np.round(np.asarray(result) * 255) / 255, atol=1e-7)
    np.testing.assert_array_equal(target, hr)
    np.testing.assert_array_equal(same, hr)


def test_a_chain_ends_with_the_reduction(keys):
    hr = np.full((2, 12, 8, 3), 0.5, np.float32)
    noise = Noise(sigma=(200, 200))
    folded = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, 0)
    full = jax.vmap(noise.apply)(folded, jnp.asarray(hr))
    expected = resize(np.asarray(full, np.float64), (6, 4))
    assert expected.min() < 0 and expected.max() > 1  # and only then clipped, if at all
    np.testing.assert_allclose(lr(Chain(2, (noise,), 0), keys, hr), expected, atol=1e-5)
    eight = lr(Chain(2, (noise,), 255), keys, hr)
    assert np.abs(eight - expected.clip(0, 1)).max() < 0.51 / 255


def test_the_steps_come_in_order(keys):
    hr = random(2, 16, 16, 3)
    noise, jpeg = Noise(sigma=(40, 40)), Jpeg(quality=(90, 90), subsampling="4:4:4")
    last = lr(Chain(1, (noise, jpeg), 0), keys, hr) * 255
    np.testing.assert_allclose(last, np.round(last), atol=1e-4)  # JPEG gives whole levels
    first = lr(Chain(1, (jpeg, noise), 0), keys, hr) * 255
    assert np.mean(np.abs(first - np.round(first))) > 0.1


def test_equal_steps_draw_on_their_own(keys):
    hr = np.full((2, 32, 32, 3), 0.5, np.float32)
    twice = lr(Chain(1, (Noise(sigma=(10, 10)),) * 2, 0), keys, hr) - 0.5
    variance = 2 * (10 / 255) ** 2
    assert abs(twice.var() / variance - 1) < 3 * np.sqrt(2 / twice.size)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_step_happens_with_its_probability(share):
    hr, n = np.full((1000, 2, 2, 1), 0.5, np.float32), 1000
    spec = Chain(1, (Noise(probability=share), Noise(probability=share)), 0)
    changed = (lr(spec, jax.random.split(jax.random.key(5), n), hr) != hr).all(axis=(1, 2, 3))
    expected = 1 - (1 - share) ** 2
    assert abs(changed.mean() - expected) <= 3 * np.sqrt(expected * (1 - expected) / n)


@pytest.mark.slow
def test_an_example_is_the_same_alone_and_on_eight_devices():
    hr, keys = random(8, 12, 10, 3), jax.random.split(jax.random.key(2), 8)
    whole = lr(ALL, keys, hr)
    np.testing.assert_allclose(lr(ALL, keys[3:4], hr[3:4]), whole[3:4], atol=1e-6)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    part = jax.sharding.PartitionSpec("data")
    sharded = jax.shard_map(
        lambda keys, hr: degrade(keys, hr, ALL)[0], mesh=mesh, in_specs=part, out_specs=part
    )
    np.testing.assert_allclose(jax.jit(sharded)(keys, jnp.asarray(hr)), whole, atol=1e-6)


def test_keys_decide_and_compile_nothing():
    traced = []

    @jax.jit
    def run(keys, hr):
        traced.append(keys)
        return degrade(keys, hr, Chain(1, (BLUR, NOISE, JPEG), 255))[0]

    hr = jnp.asarray(random(1, 10, 10, 3).repeat(3, axis=0))
    a, b, c = np.asarray(run(jax.random.split(jax.random.key(0), 3), hr))
    assert (a != b).any() and (b != c).any() and (a != c).any()
    again = np.asarray(run(jax.random.split(jax.random.key(0), 3), hr))
    np.testing.assert_array_equal(again, [a, b, c])
    others = np.asarray(run(jax.random.split(jax.random.key(1), 3), hr))
    assert all((x != y).any() for x, y in zip(others, again, strict=True))
    assert len(traced) == 1


def step(**fields):
    return {"kind": "chain", "steps": [{"op": "blur"}, fields]}


WRITTEN = {
    "kind": "chain",
    "levels": 255,
    "steps": [
        {"op": "blur", "sigma": [0.5, 2.0], "ratio": [0.5, 1.0], "size": 7, "probability": 0.5},
        {"op": "noise", "sigma": [5.0, 25.0], "grey": 0.4, "probability": 1.0},
        {"op": "poisson", "peak": [30.0, 300.0], "probability": 1.0},
        {"op": "jpeg", "quality": [30, 95], "subsampling": "4:4:4", "probability": 1.0},
        {"op": "down_up", "factor": [1.0, 4.0], "method": "area", "probability": 1.0},
    ],
}


def test_a_table_makes_a_chain():
    steps = (
        Blur(sigma=(0.5, 2.0), ratio=(0.5, 1.0), size=7, probability=0.5),
        Noise(sigma=(5.0, 25.0), grey=0.4),
        Poisson(peak=(30.0, 300.0)),
        Jpeg(quality=(30, 95), subsampling="4:4:4"),
        DownUp(factor=(1.0, 4.0), method="area"),
    )
    assert make_degradation(WRITTEN, 1) == Chain(1, steps, 255)
    assert degradation_fields(Chain(1, steps, 255)) == WRITTEN
    whole = step(op="noise", sigma=[5, 25])  # whole numbers do where fractions are meant
    assert make_degradation(whole, 2) == Chain(2, (Blur(), Noise(sigma=(5.0, 25.0))))


@pytest.mark.parametrize("op", OPS)
def test_an_operation_alone_is_a_chain_of_one(op):
    spec = make_degradation({"kind": op, "probability": 0.5, "levels": 0}, 2)
    assert spec == Chain(2, (OPS[op](probability=0.5),), levels=0)


@pytest.mark.parametrize(
    "spec",
    [Bicubic(4), Bicubic(1, levels=0), ALL, *(Chain(2, (op(),), 65535) for op in OPS.values())],
)
def test_specs_survive_being_written(spec):
    fields = tomllib.loads(tomli_w.dumps(degradation_fields(spec)))
    assert fields == degradation_fields(spec)  # already what TOML holds
    again = make_degradation(fields, spec.scale)
    assert again == spec and hash(again) == hash(spec)


def test_the_kind_is_bicubic_unless_told():
    assert make_degradation({}, 3) == Bicubic(3)
    assert make_degradation({"levels": 0}, 3) == Bicubic(3, levels=0)
    assert degradation_fields(Bicubic(3)) == {"kind": "bicubic"}


MEND = "; mend it in the config"
KINDS = "bicubic, chain, realesrgan, bsrgan, blur, noise, poisson, jpeg, down_up"
STEP = "sigma, grey, probability, levels, crop"
REFUSED = {
    f"degrade.kind: got 'bicubc', wanted one of {KINDS}; did you mean 'bicubic'?": {
        "kind": "bicubc"
    },
    f"degrade.kind: got 3, wanted one of {KINDS}": {"kind": 3},
    "degrade.level: no such key; did you mean 'levels'? (known: levels)": {"level": 1},
    "degrade.scale: no such key; did you mean 'levels'? (known: levels)": {"scale": 2},
    f"degrade.levels: Expected `int | null`, got `str` ('x'){MEND}": {"levels": "x"},
    f"degrade.levels: got -1, wanted 0 (unrounded) or more, such as 255{MEND}": {"levels": -1},
    f"degrade.levels: got -2, wanted 0 (unrounded) or more, such as 255{MEND}": {
        "kind": "noise",
        "levels": -2,
    },
    f"degrade.levels: got -3, wanted 0 (unrounded) or more, such as 255{MEND}": {
        "kind": "realesrgan",
        "levels": -3,
    },
    f"degrade.levels: got -4, wanted 0 (unrounded) or more, such as 255{MEND}": {
        "kind": "bsrgan",
        "levels": -4,
    },
    "degrade.first: got 3, wanted a table such as { noise = [1, 30] }": {
        "kind": "realesrgan",
        "first": 3,
    },
    f"degrade.crop: got 0, wanted the pixels of a side, such as 400{MEND}": {
        "kind": "noise",
        "crop": 0,
    },
    'degrade.steps: got none, wanted one at least, such as { op = "noise" }' + MEND: {
        "kind": "chain"
    },
    "degrade.steps: got 3, wanted a list of tables": {"kind": "chain", "steps": 3},
    'degrade.steps[0]: got 3, wanted a table such as { op = "noise" }': {
        "kind": "chain",
        "steps": [3],
    },
    "degrade.step: no such key; did you mean 'steps'? (known: steps, levels, crop)": {
        "kind": "chain",
        "step": [],
    },
    f"degrade.sgma: no such key; did you mean 'sigma'? (known: {STEP})": {
        "kind": "noise",
        "sgma": [1, 2],
    },
    f"degrade.sigma: got [2, 1], wanted [low, high] with 0 <= low <= high <= 255{MEND}": {
        "kind": "noise",
        "sigma": [2, 1],
    },
    "degrade.steps[1].op: got None, wanted one of blur, noise, poisson, jpeg, down_up": step(),
    "degrade.steps[1].op: got 'nois', wanted one of blur, noise, poisson, jpeg, down_up; "
    "did you mean 'noise'?": step(op="nois"),
    "degrade.steps[1].sigm: no such key; did you mean 'sigma'? "
    "(known: sigma, grey, probability)": step(op="noise", sigm=3),
    f"degrade.steps[1].sigma: Expected `array`, got `int` (3){MEND}": step(op="noise", sigma=3),
    f"degrade.steps[1].sigma[0]: Expected `float`, got `str` (['a', 3]){MEND}": step(
        op="noise", sigma=["a", 3]
    ),
    f"degrade.steps[1].quality[0]: Expected `int`, got `float` ([50.5, 60]){MEND}": step(
        op="jpeg", quality=[50.5, 60]
    ),
    f"degrade.steps[1].size: got 4, wanted an odd number from 3 to 21{MEND}": step(
        op="blur", size=4
    ),
    f"degrade.steps[1].size: got 23, wanted an odd number from 3 to 21{MEND}": step(
        op="blur", size=23
    ),
    f"degrade.steps[1].subsampling: got '4:2:2', wanted one of 4:2:0, 4:4:4{MEND}": step(
        op="jpeg", subsampling="4:2:2"
    ),
    f"degrade.steps[1].method: got 'lanczos', wanted one of area, bilinear, bicubic{MEND}": step(
        op="down_up", method="lanczos"
    ),
    f"degrade.steps[1].grey: got -0.5, wanted a number from 0 to 1{MEND}": step(
        op="noise", grey=-0.5
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_a_refusal_names_the_field(message):
    with pytest.raises(ValueError) as refusal:
        make_degradation(REFUSED[message], 2)
    assert str(refusal.value) == message


@pytest.mark.parametrize("op", OPS)
def test_probabilities_are_checked(op):
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match=rf"^degrade.probability: got {wrong:g}, wanted a num"):
            make_degradation({"kind": op, "probability": wrong}, 1)


@pytest.mark.parametrize(
    "op, field, least, most",
    [
        ("blur", "sigma", 0, 15),
        ("blur", "ratio", 0, 1),
        ("noise", "sigma", 0, 255),
        ("poisson", "peak", 1, 1_000_000),
        ("jpeg", "quality", 1, 100),
        ("down_up", "factor", 1, 64),
    ],
)
def test_ranges_are_checked(op, field, least, most):
    assert make_degradation({"kind": op, field: [least, most]}, 1)
    for wrong in ([most, least], [least - 1, most], [least, most + 1]):
        words = rf"^degrade.{field}: got \[.*\], wanted \[low, high\] with {least:g} <= low"
        with pytest.raises(ValueError, match=words):
            make_degradation({"kind": op, field: wrong}, 1)
    if op != "jpeg":
        with pytest.raises(ValueError, match=rf"^degrade.{field}: got \[{least}, nan\]"):
            make_degradation({"kind": op, field: [least, float("nan")]}, 1)


@pytest.mark.parametrize("make", [RealESRGAN, BSRGAN])
def test_bands_are_refused(make):
    keys = jax.random.split(jax.random.key(0), 1)
    with pytest.raises(ValueError, match="^got pictures of 4 channels, wanted grey or RGB: 1 or 3"):
        make(2).apply(keys, jnp.zeros((1, 64, 64, 4)))


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_lr_target_and_hr_are_cut_at_one_place(scale):
    """Each pixel holds its row and column in LR, the picture, and whether it is a target."""
    n, rows, columns, size = 5, 9, 12, 6 * scale

    def picture(zoom, mark):
        y, x = np.meshgrid(np.arange(rows * zoom), np.arange(columns * zoom), indexing="ij")
        planes = np.stack([y // zoom, x // zoom, y % zoom, x % zoom, 0 * y + mark], axis=-1)
        return jnp.asarray(np.stack([planes] * n), jnp.float32)

    keys = jax.random.split(jax.random.key(1), n)
    pictures = picture(1, 0), picture(scale, 1), picture(scale, 2)
    cuts = [np.asarray(part) for part in crop_alike(keys, *pictures, size=size)]
    lr, target, hr = cuts
    assert lr.shape == (n, 6, 6, 5) and target.shape == hr.shape == (n, size, size, 5)
    for key, part in zip(keys, lr, strict=True):
        y, x = draw_corner(key, (rows, columns), size=6)
        np.testing.assert_array_equal(part[0, 0], [y, x, 0, 0, 0])
        np.testing.assert_array_equal(part[-1, -1], [y + 5, x + 5, 0, 0, 0])
    for mark, large in ((1, target), (2, hr)):
        every = large[:, ::scale, ::scale]
        np.testing.assert_array_equal(every[..., :4], lr[..., :4])
        assert (large[..., 4] == mark).all() and large[0, -1, -1, 2] == scale - 1
    assert len({tuple(part[0, 0]) for part in lr}) > 1


def test_corners_are_uniform_over_all_places():
    keys = jax.random.split(jax.random.key(0), 4000)
    corners = jax.jit(jax.vmap(lambda key: draw_corner(key, (7, 9), size=5)))(keys)
    y, x = (np.asarray(part) for part in corners)
    counts = np.bincount(y * 5 + x, minlength=15)
    assert len(counts) == 15
    expected = 4000 / 15
    statistic = ((counts - expected) ** 2).sum() / expected
    assert statistic < 14 + 5 * np.sqrt(2 * 14)

import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxsr.inference import budget, tiled
from jaxsr.inference import stream as streams
from jaxsr.inference.budget import Way, choose, cost
from jaxsr.inference.stream import pad
from jaxsr.inference.tiled import upscale_tiled
from jaxsr.inference.upscale import upscale as eager
from jaxsr.networks.generators import GENERATORS
from jaxsr.networks.receptive import receptive_radius
from jaxsr.networks.weights import init_weights, make_arch

SMALL = {
    "compact": {"scale": 4, "num_convs": 2, "num_features": 4},
    "espcn": {"scale": 3, "num_features": 4},
    "msrresnet": {"scale": 4, "num_blocks": 1, "num_features": 4},
    "srresnet": {"scale": 2, "num_blocks": 1, "num_features": 4},
    "edsr": {"scale": 3, "num_blocks": 1, "num_features": 4},
    "rrdbnet": {"scale": 2, "num_blocks": 1, "num_features": 4, "growth": 2},
    "concat": {"scale": 2, "num_blocks": 1, "num_features": 4},
    "encdec": {"scale": 4, "num_features": 4},
    "restore": {"num_features": 4},
}
MODES = ("whole", "overlap", "stream", "sharded")


upscale = jax.jit(eager)


def network(name="compact", **fields):
    arch = make_arch(GENERATORS, {"name": name} | SMALL[name] | fields)
    return init_weights(jax.random.key(0), arch)


def random(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def full(message="RESOURCE_EXHAUSTED: Out of memory allocating 1 byte"):
    return jax.errors.JaxRuntimeError(message)


def test_all_generators_that_take_pictures_are_here():
    assert set(SMALL) | {"dcgan"} == set(GENERATORS)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("rrdbnet", "compact") else pytest.mark.slow)
        for name in SMALL
    ],
)
def test_every_way_equals_the_whole_picture(name):
    weights, image = network(name), random(45, 71, 3)
    wanted = np.asarray(upscale(weights, image))
    for mode in MODES:
        tile = 8 if mode in ("overlap", "stream") else None
        sr = upscale_tiled(weights, image, mode=mode, tile=tile)
        np.testing.assert_allclose(sr, wanted, atol=1e-5, err_msg=mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 50, 3), (3, 2, 40, 9, 3)])
def test_slivers_and_batches(mode, shape):
    weights, image = network(), random(*shape)
    sr = upscale_tiled(weights, image, mode=mode)
    np.testing.assert_allclose(sr, upscale(weights, image), atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float64])
def test_dtypes_are_those_of_upscale(mode, dtype):
    weights, image = network(), random(20, 33, 3)
    image = (image * (255 if np.issubdtype(dtype, np.integer) else 1)).astype(dtype)
    sr, wanted = upscale_tiled(weights, image, mode=mode), upscale(weights, image)
    assert sr.dtype == wanted.dtype
    sr, wanted = sr.astype(np.float32), np.asarray(wanted, np.float32)
    if np.issubdtype(dtype, np.integer):  # 1e-5 apart, a few may round to the next level
        assert np.abs(sr - wanted).max() <= 1 and (sr != wanted).mean() < 1e-2
    else:
        np.testing.assert_allclose(sr, wanted, atol=1e-5 if dtype == np.float64 else 1e-3)


def test_a_halo_of_the_radius_is_needed_and_enough():
    weights, image = network("msrresnet"), random(40, 90, 3)
    radius, wanted = receptive_radius(weights.arch), np.asarray(upscale(weights, image))

    def error(halo):
        sr = upscale_tiled(weights, image, mode="overlap", tile=16, halo=halo)
        return np.abs(sr - wanted).max()

    assert error(radius) < 1e-5 < error(0)


def test_a_folder_of_sizes_compiles_few_shapes():
    weights = network("espcn", num_features=5)
    before = tiled._padded._cache_size() + tiled._plain._cache_size()
    for height in range(33, 49):
        for width in (50, 55, 64):
            image = random(height, width, 3)
            sr = upscale_tiled(weights, image)
            assert sr.shape == (3 * height, 3 * width, 3)
    assert tiled._padded._cache_size() + tiled._plain._cache_size() - before <= 7


def test_one_shape_serves_all_windows_and_strips():
    weights = network("espcn", num_features=6)
    plain, step = tiled._plain._cache_size(), streams._step._cache_size()
    for shape in ((100, 80, 3), (90, 123, 3)):
        upscale_tiled(weights, random(*shape), mode="overlap", tile=16)
        upscale_tiled(weights, random(shape[0], 70, 3), mode="stream", tile=16)
    assert tiled._plain._cache_size() == plain + 1
    assert streams._step._cache_size() == step + 1


def test_low_pictures_share_the_programs_of_the_stream():
    weights = network("espcn", num_features=7)
    before = streams._step._cache_size()
    for height in range(33, 49):
        upscale_tiled(weights, random(height, 40, 3), mode="stream")
    assert streams._step._cache_size() - before <= 2


@pytest.mark.parametrize("name", SMALL)
def test_devices_exchange_borders_and_gather_nothing(name):
    weights = network(name)
    program = tiled.sharded(4).lower(weights, random(1, 64, 32, 3), 61, 30).compile().as_text()
    found = set(re.findall(r"all-gather|collective-permute|all-to-all", program))
    assert found == {"collective-permute"}


@pytest.mark.parametrize("mode", MODES)
def test_what_bfloat16_cannot_hold_is_made_again(mode):
    weights = network("espcn")
    # float32's largest number is 3.403e38; bfloat16 rounds this one up to an infinity.
    weights.params["conv_first"]["bias"] = jnp.full(4, 3.4e38)
    image = random(20, 24, 3)
    with pytest.warns(RuntimeWarning, match="not finite in bfloat16; made again in float32"):
        weights.params["conv_body"]["kernel"] *= 0
        sr = upscale_tiled(_relu(weights), image, mode=mode, dtype="bfloat16")
    np.testing.assert_allclose(sr, upscale(_relu(weights), image), atol=1e-5)


def _relu(weights):
    return weights.replace(arch=weights.arch.clone(activation="relu"))


@pytest.mark.parametrize("mode", MODES)
def test_bfloat16_computes_in_bfloat16(mode):
    weights, image = network("msrresnet"), random(20, 24, 3)
    weights = jax.tree.map(lambda leaf: 10 * leaf, weights)
    arch = weights.arch.clone(dtype=jnp.bfloat16)
    wanted = np.asarray(upscale(weights.replace(arch=arch), image))
    sr = upscale_tiled(weights, image, mode=mode, dtype="bfloat16")
    exact = np.asarray(upscale(weights, image))
    assert np.abs(sr - wanted).max() < np.abs(wanted - exact).max()
    assert np.abs(sr - exact).max() > 1e-4


@pytest.mark.parametrize("mode", MODES)
def test_a_nan_in_the_picture_is_an_error(mode):
    image = random(20, 24, 3)
    image[7, 8, 1] = np.nan
    with pytest.raises(ValueError, match="not finite, in float32 too: the picture holds a NaN"):
        upscale_tiled(network(), image, mode=mode)


@pytest.mark.parametrize("room", [8 << 20, 1 << 40])
def test_out_of_memory_takes_a_smaller_way(monkeypatch, room):
    weights, image = network(), random(70, 90, 3)

    def short(*args):
        raise full()

    monkeypatch.setattr(tiled, "memory", lambda: room)
    monkeypatch.setitem(tiled._WAYS, "whole", short)
    with pytest.warns(RuntimeWarning, match=r"no room for Way\(mode='whole'.*; took Way"):
        sr = upscale_tiled(weights, image)
    np.testing.assert_allclose(sr, upscale(weights, image), atol=1e-5)


def test_out_of_memory_of_a_way_that_was_asked_for(monkeypatch):
    def short(*args):
        raise full()

    monkeypatch.setitem(tiled._WAYS, "whole", short)
    with pytest.raises(MemoryError, match="take the mode auto, or a smaller tile"):
        upscale_tiled(network(), random(8, 8, 3), mode="whole")


def test_another_error_of_the_device_is_not_taken_for_lack_of_memory(monkeypatch):
    def broken(*args):
        raise full("INTERNAL: something else")

    monkeypatch.setitem(tiled._WAYS, "whole", broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        upscale_tiled(network(), random(8, 8, 3))


@pytest.mark.slow
def test_a_strip_too_large_is_halved_in_mid_picture(monkeypatch):
    weights, image, taken = network("rrdbnet"), random(60, 30, 3), []
    step = streams._step

    def short(weights, kept, v, top, height, width):
        if v.shape[1] > 4 and top >= 16:
            raise full()
        taken.append(v.shape[1])
        return step(weights, kept, v, top, height, width)

    monkeypatch.setattr(streams, "_step", short)
    sr = upscale_tiled(weights, image, mode="stream", tile=16)
    assert taken[:3] == [16, 4, 4]
    np.testing.assert_allclose(sr, upscale(weights, image), atol=1e-5)


@pytest.mark.parametrize(
    "name", [*(pytest.param(n, marks=pytest.mark.slow) for n in ("rrdbnet", "encdec")), "compact"]
)
@pytest.mark.parametrize("mode", ["auto", "stream", "overlap"])
def test_within_a_small_budget(monkeypatch, name, mode):
    weights, image = network(name), random(50, 150, 3)
    room = 400_000
    monkeypatch.setattr(tiled, "memory", lambda: room)
    way = choose(weights.arch, (1, 52, 152, 3), mode=mode, budget=room)
    assert way.mode != "whole" and way.band < 152
    sr = upscale_tiled(weights, image, mode=mode)
    np.testing.assert_allclose(sr, upscale(weights, image), atol=1e-5)


def test_the_way_fits_the_network():
    room = 1 << 30
    deep = make_arch(GENERATORS, {"name": "rrdbnet", "scale": 4, "num_blocks": 6})
    shallow = make_arch(GENERATORS, {"name": "compact", "scale": 4})
    small, tall, wide = (1, 100, 100, 3), (1, 4096, 400, 3), (1, 2048, 4096, 3)
    assert choose(deep, small, mode="auto", budget=room).mode == "whole"
    assert choose(deep, tall, mode="auto", budget=room).mode == "stream"
    assert choose(shallow, wide, mode="auto", budget=room).mode in ("stream", "overlap")
    assert choose(deep, tall, mode="auto", halo=16, budget=room).mode == "overlap"
    assert choose(deep, tall, mode="overlap", budget=room).halo == 94
    assert choose(deep, small, mode="auto", tile=20, budget=room) == Way("stream", 20, 94, 100)
    assert choose(shallow, small, mode="auto", tile=90, budget=room).mode != "whole"
    assert choose(shallow, small, mode="auto", halo=0, budget=room).halo == 0
    assert choose(shallow, wide, mode="overlap", tile=64, halo=10, budget=1) == Way(
        "overlap", 64, 10
    )


def test_memory_is_known_or_assumed(monkeypatch):
    assert budget.memory() > 1 << 28

    class Device:
        def memory_stats(self):
            return {"bytes_limit": 1000, "bytes_in_use": 500}

    monkeypatch.setattr(jax, "local_devices", lambda: [Device()])
    assert budget.memory() == 400


def test_the_measured_cost_is_near_the_compilers():
    arch = make_arch(GENERATORS, {"name": "compact", "scale": 4})
    weights = init_weights(jax.random.key(0), arch)
    program = tiled._plain.lower(weights, random(1, 64, 64, 3)).compile()
    held = program.memory_analysis().temp_size_in_bytes / 64**2
    assert held / 2 < cost(arch).pixel < 4 * held


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "tiles"}, "mode: got tiles, wanted one of auto, whole"),
        ({"dtype": "float16"}, "dtype: got float16"),
        ({"mode": "overlap", "tile": 0}, "tile: got 0 with mode overlap, wanted 1 or more"),
        ({"mode": "whole", "tile": 8}, "wanted 1 or more, and auto, overlap or stream"),
        ({"mode": "stream", "halo": 8}, "halo: got 8 with mode stream"),
        ({"halo": -1}, "halo: got -1 with mode auto"),
    ],
)
def test_options_that_do_not_go_together(options, message):
    with pytest.raises(ValueError, match=message):
        upscale_tiled(network(), random(8, 8, 3), **options)


def test_pictures_of_pillow_and_lists():
    pixels = (random(6, 5, 3) * 255).astype(np.uint8)
    wanted = upscale_tiled(network(), pixels)
    np.testing.assert_array_equal(upscale_tiled(network(), Image.fromarray(pixels)), wanted)
    with pytest.raises(ValueError, match="got int64, wanted uint8"):
        upscale_tiled(network(), pixels.tolist())


def test_what_upscale_refuses():
    with pytest.raises(ValueError, match=r"wanted \[\.\.\., H, W, 3\]"):
        upscale_tiled(network(), random(8, 8, 1))


def test_nothing_is_said_where_nothing_happened():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        upscale_tiled(network(), random(8, 8, 3), dtype="bfloat16")


def test_padding_is_below_and_right():
    padded = pad(np.ones((1, 2, 3, 1)), 4, 5)
    assert padded.shape == (1, 4, 5, 1) and padded.sum() == 6 and padded[0, :2, :3].all()

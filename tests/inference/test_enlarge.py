import jax
import numpy as np
import pytest
from repeating import repeat, repeating

from jaxsr.imaging.resize import resize
from jaxsr.inference.enlarge import Options, by_method, by_network, digest
from jaxsr.inference.tiled import Tiling
from jaxsr.inference.upscale import upscale
from jaxsr.networks.generators import GENERATORS
from jaxsr.networks.weights import init_weights, make_arch


def random(*shape):
    return np.random.default_rng(0).random(shape, np.float32)


def levels(*shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, 256, shape, dtype)


def uneven():
    """A network that does not turn with its picture."""
    arch = make_arch(GENERATORS, {"name": "espcn", "scale": 2, "num_features": 4})
    return init_weights(jax.random.key(0), arch)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_pass_as_in_upscale(dtype):
    pixels = levels(9, 7, 3, dtype=dtype)
    made = by_network(repeating(0.25))(pixels)
    np.testing.assert_array_equal(made.pixels, upscale(repeating(0.25), pixels))
    assert made.pixels.dtype == dtype and not made.notes


def test_floats_stay_within_0_and_1_and_must_come_so():
    enlarge = by_network(repeating(0.5))
    image = random(5, 5, 3)
    np.testing.assert_allclose(enlarge(image).pixels, np.minimum(repeat(image) + 0.5, 1), atol=1e-6)
    with pytest.raises(ValueError, match="must lie in"):
        enlarge(image + 1)


def test_units_are_neither_clipped_nor_refused():
    weights = repeating(0.5).replace(ranges=((0.0, 1000.0),))
    image = 2000 * random(5, 5, 3)
    for options in (Options(), Options(scale=2)):
        made = by_network(weights, options=options)(image)
        np.testing.assert_allclose(made.pixels, repeat(image) + 500, rtol=1e-5)


@pytest.mark.parametrize("scale", [3, 1.5, 0.5])
def test_another_scale_is_the_networks_resized(scale):
    pixels = levels(10, 8, 3)
    made = by_network(repeating(), options=Options(scale=scale))(pixels)
    size = round(10 * scale), round(8 * scale)
    wanted = resize(repeat(pixels / np.float32(255)), size)
    np.testing.assert_array_equal(made.pixels, (wanted.clip(0, 1) * 255).round().astype(np.uint8))


def test_the_ensemble_turns_with_the_picture():
    image, weights = random(8, 6, 3) * 0.5 + 0.25, uneven()
    plain, ensemble = by_network(weights), by_network(weights, options=Options(self_ensemble=True))
    turned = np.rot90(image)
    np.testing.assert_allclose(ensemble(turned).pixels, np.rot90(ensemble(image).pixels), atol=1e-6)
    assert np.abs(plain(turned).pixels - np.rot90(plain(image).pixels)).max() > 1e-3


def test_consistency_reports_what_is_left():
    lr = (resize(random(4, 5, 3), (16, 20)) * 200 + 20).astype(np.uint8)
    made = by_network(repeating(0.1), options=Options(consistency=True))(lr)
    reduced = resize(made.pixels / np.float32(255), (16, 20)) * 255
    assert np.abs(reduced - lr).max() < 1.5 < np.abs(0.1 * 255)
    [note] = made.notes
    assert note.startswith("reduced again, it differs from the input by 0.")


def test_consistency_is_that_of_what_is_written():
    """At any size, after rounding."""
    lr = (resize(random(4, 5, 3), (16, 20)) * 200 + 20).astype(np.uint8)
    options = Options(scale=3, consistency=True)
    made = by_network(repeating(0.1), options=options)(lr)
    assert made.pixels.shape == (48, 60, 3)
    left = np.abs(resize(made.pixels / np.float32(255), (16, 20)) * 255 - lr).max()
    assert f"by {left:.2f} of 255" in made.notes[0] and left < 1.5


def test_consistency_in_units_clips_nothing():
    weights = repeating(0.1).replace(ranges=((0.0, 10.0),))
    image = 30 * random(9, 8, 3) - 10
    made = by_network(weights, options=Options(consistency=True))(image)
    np.testing.assert_allclose(resize(made.pixels, (9, 8)), image, atol=1e-3)
    assert "of the bands' range" in made.notes[0]


def test_consistency_wants_a_larger_result():
    enlarge = by_network(repeating(), options=Options(size=(4, 40), consistency=True))
    with pytest.raises(ValueError, match=r"got a result of \(4, 40\) for an input of \(8, 8\)"):
        enlarge(levels(8, 8, 3))


def test_floats_of_methods_stay_within_0_and_1_where_they_lay_there():
    image = (random(6, 6, 1) > 0.5).astype(np.float32)
    enlarge = by_method("lanczos", scale=2)
    assert enlarge(image).min() == 0 and enlarge(image).max() == 1
    assert enlarge(100 * image).max() > 100


def test_all_options_together_and_their_notes():
    options = Options(Tiling("overlap", 8), 3, None, True, True)
    made = by_network(uneven(), options=options)(levels(20, 18, 3))
    assert made.pixels.shape == (60, 54, 3) and len(made.notes) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(Tiling("whole", 8)), "tile: got 8 with mode whole"),
        (Options(scale=0), "scale: got 0, wanted more than 0"),
        (Options(size=(0, 9)), r"size: got \(0, 9\), wanted a height and a width of 1"),
        (Options(scale=2, size=(9, 9)), "got a scale and a size; give one"),
    ],
)
def test_options_are_checked_before_the_first_picture(options, message):
    with pytest.raises(ValueError, match=message):
        by_network(repeating(), options=options)


def test_consistency_wants_a_network_that_enlarges():
    arch = make_arch(GENERATORS, {"name": "restore", "num_features": 4})
    with pytest.raises(ValueError, match="consistency: got the scale 1"):
        by_network(init_weights(jax.random.key(0), arch), options=Options(consistency=True))


@pytest.mark.parametrize(("method", "scale"), [("lanczos", 1.5), ("bicubic", 0.5), ("area", 2)])
def test_methods_at_any_scale(method, scale):
    pixels = levels(10, 8, 6)
    if method == "area":
        with pytest.raises(ValueError, match="method: got area, wanted one of nearest"):
            by_method(method, scale=scale)
        return
    size = round(10 * scale), round(8 * scale)
    wanted = resize(pixels / np.float32(255), size, method=method).clip(0, 1) * 255
    np.testing.assert_array_equal(
        by_method(method, scale=scale)(pixels), wanted.round().astype(np.uint8)
    )


@pytest.mark.parametrize("size", [(7, 31), (40, 5)])
def test_any_size(size):
    pixels = levels(10, 8, 3)
    image = pixels / np.float32(255)
    for enlarge, wanted in (
        (by_network(repeating(), options=Options(size=size)), resize(repeat(image), size)),
        (by_method("lanczos", size=size), resize(image, size, method="lanczos")),
    ):
        made = enlarge(pixels)
        made = made if isinstance(made, np.ndarray) else made.pixels
        np.testing.assert_array_equal(made, (wanted.clip(0, 1) * 255).round().astype(np.uint8))


def test_methods_that_do_not_know_how_far():
    with pytest.raises(ValueError, match="bicubic needs to know how far"):
        by_method("bicubic")
    for target in ({"scale": 1.5}, {"size": (9, 9)}):
        with pytest.raises(ValueError, match="wanted a whole scale"):
            by_method("wiener", **target)


def test_the_digest_tells_weights_networks_units_and_options_apart():
    same = repeating(0.1), {"quality": 90}
    others = [
        (repeating(0.2), {"quality": 90}),
        (repeating(0.1).replace(ranges=((0.0, 2.0),)), {"quality": 90}),
        (repeating(0.1).replace(arch=repeating().arch.clone(activation="relu")), {"quality": 90}),
        (repeating(0.1), {"quality": 91}),
        (None, {"quality": 90}),
    ]
    digests = [digest(weights, **options) for weights, options in (same, same, *others)]
    assert digests[0] == digests[1] and len(set(digests)) == len(digests) - 1

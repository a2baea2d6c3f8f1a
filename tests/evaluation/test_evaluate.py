"""Figures of a test set against the formulas in float64, written out in numpy."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict
from PIL import Image

from jaxsr.evaluation.compare import Learnt, check_names, common_input, compare, definition, learn
from jaxsr.evaluation.evaluate import (
    Example,
    classical_methods,
    degraded,
    evaluate,
    read_set,
)
from jaxsr.evaluation.measures import PHOTOGRAPH, Measures, usual
from jaxsr.imaging.degrade import Bicubic, degrade, make_degradation
from jaxsr.imaging.find import find_pictures
from jaxsr.imaging.resize import resize
from jaxsr.networks.generators import DCGANGenerator, SRVGGNetCompact
from jaxsr.networks.weights import Weights
from jaxsr.training.mesh import make_mesh

METRICS = PHOTOGRAPH
Y = np.array([65.481, 128.553, 24.966]) / 255


def smooth(height, width, channels=3, seed=0) -> np.ndarray:
    """uint8 noise, blurred by enlarging, so that PSNR lies where that of photographs does."""
    coarse = np.random.default_rng(seed).random((-(-height // 3), -(-width // 3), channels))
    image = resize(coarse, (height, width), method="bicubic").clip(0, 1)
    return np.round(image * 255).astype(np.uint8)


def paint(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path)
    return path


def compared(methods, sources, spec, *, channels=3, ranges=()):
    """The reports as they grow, of the usual metrics."""
    examples = read_set(find_pictures(sources), scale=spec.scale, channels=channels, ranges=ranges)
    measures = Measures(usual(channels, scale=spec.scale))
    dataset = " ".join(sources)
    methods = {row: row for row in classical_methods(spec.scale)} | dict(methods)
    return compare(methods, examples, dataset=dataset, degradation=spec, measures=measures)


def nearest_network(scale=2, channels=3, ranges=()) -> Weights:
    """A network of zeros, whose skip connection is what it does: enlarging by repetition."""
    arch = SRVGGNetCompact(scale=scale, channels=channels, num_features=2, num_convs=1)
    picture = jax.ShapeDtypeStruct((1, 8, 8, channels), jnp.float32)
    shapes = flatten_dict(jax.eval_shape(arch.init, jax.random.key(0), picture)["params"])
    params = {name: np.zeros(leaf.shape, np.float32) for name, leaf in shapes.items()}
    return Weights(unflatten_dict(params), {}, arch, ranges)


def rounded(image):
    return np.round(image.clip(0, 1) * 255) / 255


def by_hand(hr, scale) -> dict[str, float]:
    """PSNR and SSIM of bicubic enlargement: uint8 [H, W, C], whole multiples of the scale."""
    hr = np.broadcast_to(hr, (*hr.shape[:2], 3)) / 255
    height, width = hr.shape[:2]
    lr = rounded(resize(hr, (height // scale, width // scale), method="bicubic"))
    sr = rounded(resize(lr, (height, width), method="bicubic"))
    inner = slice(scale, -scale)
    sr, hr = sr[inner, inner], hr[inner, inner]
    figures = {}
    for space, (a, b) in {"rgb": (sr, hr), "y": ((sr @ Y)[..., None], (hr @ Y)[..., None])}.items():
        figures[f"psnr_{space}"] = 10 * np.log10(1 / np.mean((a - b) ** 2))
        offset = 16 / 255 if space == "y" else 0
        figures[f"ssim_{space}"] = _ssim(a + offset, b + offset)
    return figures


def _ssim(a, b) -> float:
    """Wang et al. 2004, equation 13, over windows that lie wholly inside."""
    ramp = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(ramp, ramp) / ramp.sum() ** 2

    def mean(x):
        views = np.lib.stride_tricks.sliding_window_view(x, (11, 11), axis=(0, 1))
        return np.einsum("hwcij,ij->hwc", views, window)

    mu_a, mu_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mu_a**2, mean(b * b) - mu_b**2
    cov = mean(a * b) - mu_a * mu_b
    c1, c2 = 0.01**2, 0.03**2
    ratio = (
        (2 * mu_a * mu_b + c1) * (2 * cov + c2) / (mu_a**2 + mu_b**2 + c1) / (var_a + var_b + c2)
    )
    return float(ratio.mean())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures of odd sizes, two of one size, one of them grey."""
    root = tmp_path_factory.mktemp("set")
    sizes = {"a": (25, 31, 3), "b": (34, 22, 3), "c": (25, 31, 3), "d": (23, 23, 1)}
    for seed, (name, size) in enumerate(sizes.items()):
        paint(root / f"{name}.png", smooth(*size, seed=seed))
    return root


def agree(got, wanted):
    for name in METRICS:
        tolerance = 2e-3 if name.startswith("psnr") else 2e-5
        assert got[name] == pytest.approx(wanted[name], abs=tolerance), name


@pytest.mark.parametrize("scale", [2, 3])
def test_bicubic_is_that_of_the_formulas(folder, scale):
    paths = sorted(folder.iterdir())
    result = evaluate("bicubic", read_set(paths, scale=scale), degradation=Bicubic(scale))
    assert list(result["images"]) == ["a.png", "b.png", "c.png", "d.png"]
    wanted = {}
    for path in paths:
        pixels = np.asarray(Image.open(path))
        height, width = (n // scale * scale for n in pixels.shape[:2])
        pixels = pixels[:height, :width].reshape(height, width, -1)
        wanted[path.name] = by_hand(pixels, scale)
        agree(result["images"][path.name], wanted[path.name])
    agree(result["mean"], {m: np.mean([w[m] for w in wanted.values()]) for m in METRICS})


def test_a_mesh_gives_the_figures_of_one_device(folder):
    """Ten pictures of one size on eight devices: a full batch and one that must be filled up."""
    examples = read_set(sorted(folder.iterdir()), scale=2)
    examples += [Example(4 + i, f"{i}.png", smooth(24, 30, seed=i)) for i in range(8)]
    one = evaluate(nearest_network(), examples, degradation=Bicubic(2))
    eight = evaluate(nearest_network(), examples, degradation=Bicubic(2), mesh=make_mesh(devices=8))
    assert list(eight["images"]) == list(one["images"]) and len(one["images"]) == 12
    for name, figures in one["images"].items():
        assert eight["images"][name] == pytest.approx(figures, abs=1e-4)
    assert len({figures["psnr_y"] for figures in one["images"].values()}) == 12


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_is_measured_as_the_method_that_it_is(folder, channels):
    examples = read_set(sorted(folder.iterdir()), scale=2, channels=channels)
    assert {example.hr.shape[-1] for example in examples} == {channels}
    network = evaluate(nearest_network(channels=channels), examples, degradation=Bicubic(2))
    nearest = evaluate("nearest", examples, degradation=Bicubic(2))
    assert network["mean"] == pytest.approx(nearest["mean"], abs=1e-4)


def test_grey_networks_are_measured_on_the_grey_of_training(folder):
    """Pillow's, over the full range; a grey picture is its own."""
    paths = [folder / "a.png", folder / "d.png"]
    for path, example in zip(paths, read_set(paths, scale=2, channels=1), strict=True):
        wanted = np.asarray(Image.open(path).convert("L"))
        height, width = example.hr.shape[:2]
        np.testing.assert_array_equal(example.hr[..., 0], wanted[:height, :width])


def test_sixteen_bits_are_measured_unrounded(tmp_path):
    """12 bits of 16, of which 8 would leave 16 levels; beside them a picture of 8."""
    deep = np.random.default_rng(0).integers(0, 4096, (20, 20), np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    paint(tmp_path / "eight.png", smooth(20, 20))
    examples = read_set(sorted(tmp_path.iterdir()), scale=2)
    assert [example.hr.dtype for example in examples] == [np.float32, np.uint8]
    np.testing.assert_allclose(examples[0].hr[..., 1], deep / 65535, atol=1e-7)
    lr = degraded(np.zeros(1, np.uint32), examples[0].hr[None], Bicubic(2))[0]
    np.testing.assert_allclose(lr, resize(examples[0].hr, (10, 10)), atol=1e-6)
    assert len(np.unique(lr)) == 100
    eight = degraded(np.zeros(1, np.uint32), examples[1].hr[None], Bicubic(2))[0]
    np.testing.assert_allclose(eight, rounded(resize(examples[1].hr / 255, (10, 10))), atol=1e-6)
    words = definition(Bicubic(2), examples, Measures(METRICS))
    assert "; LR and SR rounded to 8 bits of the 1 pictures that have them;" in words
    network = nearest_network()
    mine, nearest = (
        evaluate(method, examples, degradation=Bicubic(2))["mean"]
        for method in (network, "nearest")
    )
    assert mine == pytest.approx(nearest, abs=1e-4)


@pytest.mark.parametrize("levels, words", [(0, "LR to 0 levels"), (7, "LR to 7 levels")])
def test_stated_levels_hold(folder, levels, words):
    """As the network was trained, whatever the files."""
    (example,) = read_set([folder / "a.png"], scale=2)
    spec = Bicubic(2, levels=levels)
    lr = degraded(np.zeros(1, np.uint32), example.hr[None], spec)[0]
    wanted = resize(example.hr / 255, (12, 15))
    wanted = np.round(wanted.clip(0, 1) * levels) / levels if levels else wanted
    np.testing.assert_allclose(lr, wanted, atol=1e-6)
    assert f"SR rounded to 8 bits, {words};" in definition(spec, [example], Measures(METRICS))


def test_floats_of_other_channels_are_colours_or_refused(tmp_path):
    colours = np.random.default_rng(0).random((20, 22, 3)).astype(np.float32)
    np.save(tmp_path / "rgb.npy", colours)
    np.save(tmp_path / "hot.npy", colours * 300)
    (example,) = read_set([tmp_path / "rgb.npy"], scale=2, channels=1)
    np.testing.assert_allclose(example.hr[..., 0], colours @ [0.299, 0.587, 0.114], atol=1e-4)
    with pytest.raises(ValueError, match="hot.npy: got 3 channels, wanted 1, and floats from"):
        read_set([tmp_path / "hot.npy"], scale=2, channels=1)


def test_files_of_one_name_are_told_apart(tmp_path):
    paths = [paint(tmp_path / f"{i}" / "same.png", smooth(20, 20, seed=i)) for i in range(2)]
    paths.append(paint(tmp_path / "other.png", smooth(20, 20)))
    result = evaluate("bicubic", read_set(paths, scale=2), degradation=Bicubic(2))
    assert list(result["images"]) == [paths[0].as_posix(), paths[1].as_posix(), "other.png"]


def test_a_report_is_as_the_readers_of_json_expect(folder):
    sources = [str(folder / "a.png"), str(folder / "c.png")]
    steps = compared({"mine": nearest_network()}, sources, Bicubic(2))
    reports = [list(report["methods"]) for report in steps]
    names = ["nearest", "bilinear", "bicubic", "lanczos", "wiener", "mine"]
    assert reports == [names[: i + 1] for i in range(6)]
    *_, report = compared({"mine": nearest_network()}, sources, Bicubic(2))
    report = json.loads(json.dumps(report, allow_nan=False))
    assert list(report) == ["dataset", "scale", "definition", "methods"]
    assert (report["dataset"], report["scale"]) == (" ".join(sources), 2)
    assert "2 pixels cropped" in report["definition"]
    for name in names:
        result = report["methods"][name]
        assert set(result) == {"mean", "identical", "images", "seconds"}
        assert result["identical"] == 0 and result["seconds"] > 0
        assert list(result["images"]) == ["a.png", "c.png"]
        for figures in (result["mean"], *result["images"].values()):
            assert list(figures) == list(usual(3, scale=2))
    mean = {name: result["mean"]["psnr_y"] for name, result in report["methods"].items()}
    assert mean["nearest"] < mean["bicubic"] < mean["lanczos"]
    assert mean["mine"] == pytest.approx(mean["nearest"], abs=1e-4)


def test_an_infinite_psnr_is_a_word_in_the_report(tmp_path):
    paint(tmp_path / "flat.png", np.full((20, 20, 3), 100, np.uint8))
    paint(tmp_path / "noise.png", smooth(20, 20))
    *_, report = compared({}, [str(tmp_path)], Bicubic(2))
    result = json.loads(json.dumps(report, allow_nan=False))["methods"]["bicubic"]
    assert result["images"]["flat.png"] == {
        "psnr_y": "inf",
        "ssim_y": 1.0,
        "psnr_rgb": "inf",
        "ssim_rgb": 1.0,
        **dict.fromkeys(("shift_r", "shift_g", "shift_b"), 0.0),
        "consistency": pytest.approx(0, abs=1e-4),
    }
    noise = result["images"]["noise.png"]
    assert result["identical"] == 1 and 10 < noise["psnr_y"] == result["mean"]["psnr_y"]
    assert result["mean"]["ssim_y"] == pytest.approx((1 + noise["ssim_y"]) / 2)
    assert "the pictures that are not identical" in report["definition"]
    (flat, _) = read_set(sorted(tmp_path.iterdir()), scale=2)
    result = evaluate("bicubic", [flat], degradation=Bicubic(2))
    assert result["mean"]["psnr_y"] == np.inf and result["identical"] == 1


def test_equal_pictures_are_identical_with_all_optimisations():
    """XLA then rounds once what is rounded twice elsewhere; other tests leave that off."""
    flat = np.full((41, 43, 3), 77, np.uint8)
    restored = smooth(48, 54).astype(np.uint8)
    jax.config.update("jax_disable_most_optimizations", False)
    try:
        enlarged = evaluate("bicubic", [Example(0, "a", flat[:40, :42])], degradation=Bicubic(2))
        pair = Example(0, "b", restored, restored)
        given = evaluate("degraded", [pair], degradation=Bicubic(1))
    finally:
        jax.config.update("jax_disable_most_optimizations", True)  # as conftest.py has it
    assert enlarged["identical"] == given["identical"] == 1
    assert enlarged["mean"]["psnr_y"] == given["mean"]["psnr_rgb"] == np.inf


def test_pictures_that_nothing_befell_leave_a_mean_of_the_others(folder):
    """Of ten draws at 0.5, as many as have it."""
    examples = [Example(i, f"{i}.png", smooth(24, 24, seed=i)) for i in range(10)]
    spec = make_degradation({**NOISE, "probability": 0.5}, 1)
    result = evaluate("degraded", examples, degradation=spec)
    psnr = np.array([figures["psnr_rgb"] for figures in result["images"].values()])
    assert 0 < np.isinf(psnr).sum() == result["identical"] < 10
    assert result["mean"]["psnr_rgb"] == pytest.approx(psnr[np.isfinite(psnr)].mean())


NOISE = {"kind": "noise", "sigma": [20, 40]}


def test_one_input_of_all(folder):
    two, three, grey = nearest_network(2), nearest_network(3), nearest_network(2, 1)
    bands, one = nearest_network(2, 6), nearest_network(1)
    ranged = nearest_network(2, ranges=((0.0, 2.0),))
    latent = Weights({}, {}, DCGANGenerator(size=8))
    plain, pairs = None, {"kind": "bicubic"}
    noisy, noisier = NOISE, {**NOISE, "sigma": [30, 40]}
    coarse, fine = {"levels": 7}, {"levels": 0}

    def common(networks, given, scale, **options):
        return common_input(networks, given, scale, sources=[str(folder)], **options)

    assert common({}, {}, 4) == (Bicubic(4), 3, ())
    assert common({"a": two, "b": two}, {"a": plain, "b": noisy}, None)[0] == Bicubic(2)
    assert common({"a": two, "b": two}, {"a": plain, "b": coarse}, None)[0] == Bicubic(2, 7)
    assert common({"a": grey}, {"a": plain}, 2) == (Bicubic(2), 1, ())
    assert common({"a": bands}, {"a": pairs}, None) == (Bicubic(2), 6, ())
    assert common({"a": ranged}, {"a": plain}, None)[1:] == (3, ranged.ranges)
    assert common({"a": ranged}, {"a": plain}, None, ranges=ranged.ranges)[2] == ranged.ranges
    assert common({"a": one}, {"a": noisy}, None)[0] == make_degradation(NOISE, 1)
    for networks, given, scale, words in (
        ({}, {}, None, "scale: got none; give --scale, or --weights"),
        ({"a": two, "b": three}, {}, None, "scale: got a 2, b 3, wanted one for all"),
        ({"a": two}, {}, 4, "scale: got a 2, --scale 4"),
        ({"a": two, "b": grey}, {}, None, "channels: got a 3, b 1"),
        ({"a": two, "b": ranged}, {"a": plain, "b": plain}, None, "ranges: got a"),
        ({"a": two, "b": two}, {"a": fine, "b": coarse}, None, "degrade.levels: got a 0, b 7"),
        ({"a": one}, {"a": pairs}, None, "a was trained on pairs, whose degradation is not known"),
        ({"a": one, "b": one}, {"a": noisy, "b": noisier}, None, "degradation: got a"),
        ({"a": one}, {"a": plain}, None, "a does not say what it was trained to restore"),
        ({"a": latent}, {"a": plain}, None, "a makes pictures of noise"),
    ):
        with pytest.raises(ValueError, match=words):
            common(networks, given, scale)
    with pytest.raises(ValueError, match="ranges: got a .*, --ranges"):
        common({"a": two}, {"a": plain}, None, ranges=((0, 4),))


def test_without_networks_the_first_picture_says_the_channels(folder, tmp_path):
    arrays = {"2": np.uint8, "6": np.uint16, "1": np.float32}
    for bands, dtype in arrays.items():
        np.save(tmp_path / f"{bands}.npy", np.zeros((20, 20, int(bands)), dtype))
    for name, channels in (("2", 2), ("6", 6), ("1", 1)):
        source = [str(tmp_path / f"{name}.npy")]
        assert common_input({}, {}, 2, sources=source) == (Bicubic(2), channels, ())
    source, ranges = [str(tmp_path / "2.npy")], ((0.0, 4.0), (0.0, 9.0))
    *_, report = compared({}, source, Bicubic(2), channels=2, ranges=ranges)
    assert "over 2 bands" in report["definition"] and "nothing rounded" in report["definition"]
    assert common_input({}, {}, 2, sources=source, ranges=ranges)[1:] == (2, ranges)
    with pytest.raises(ValueError, match="got 3 ranges for 2 bands"):
        common_input({}, {}, 2, sources=source, ranges=((0, 1),) * 3)
    # Grey beside RGB is repeated, so a set that begins with it is one of RGB.
    assert common_input({}, {}, 2, sources=[str(folder / "d.png")])[1] == 3
    stated = common_input({}, {}, 2, sources=[str(folder / "d.png")], ranges=((0, 9),))
    assert stated[1] == 1


@pytest.mark.slow
def test_restoring_is_measured_on_the_degraded_picture(folder):
    """A network that changes nothing is as good as its input, which no batch changes."""
    sources = [str(folder)]
    spec = make_degradation(NOISE, 1)
    *_, report = compared({"mine": nearest_network(1)}, sources, spec)
    assert list(report["methods"]) == ["degraded", "mine"]
    assert "degraded by {'kind': 'chain'" in report["definition"]
    assert "nothing cropped" in report["definition"]
    same, mine = (report["methods"][name] for name in ("degraded", "mine"))
    assert mine["images"] == same["images"]
    examples = read_set(find_pictures(folder), scale=1)
    eight = evaluate("degraded", examples, degradation=spec, mesh=make_mesh(devices=8))
    for name, figures in eight["images"].items():
        assert figures == pytest.approx(same["images"][name], abs=1e-4)
    last = examples[-1]
    key = jax.random.fold_in(jax.random.key(0), last.number)[None]
    hr = jnp.asarray(last.hr[None] / np.float32(255))
    lr = np.asarray(degrade(key, hr, make_degradation({**NOISE, "levels": 255}, 1))[0])
    wanted = -10 * np.log10(np.mean((lr - last.hr / 255) ** 2))
    assert same["images"][last.name]["psnr_rgb"] == pytest.approx(wanted, abs=2e-3)


def test_bands_are_measured_unrounded_and_in_their_ranges(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 2, (20, 22, 6)).astype(np.float32)
    stated = ((-100.0, 300.0),)
    np.save(tmp_path / "scene.npy", pixels * 400 - 100)
    (example,) = read_set([tmp_path / "scene.npy"], scale=2, channels=6, ranges=stated)
    np.testing.assert_allclose(example.hr, pixels, atol=1e-6)
    network = nearest_network(channels=6)
    measured = evaluate(network, [example], degradation=Bicubic(2))["mean"]
    lr = resize(example.hr, (10, 11), method="bicubic")
    assert lr.min() < 0 or lr.max() > 1  # is not clipped
    sr = lr.repeat(2, 0).repeat(2, 1)
    wanted = -10 * np.log10(np.mean((sr - example.hr)[2:-2, 2:-2] ** 2))
    assert list(measured) == ["psnr", "ssim"]
    assert measured["psnr"] == pytest.approx(wanted, abs=1e-3)


@pytest.mark.slow
def test_a_method_on_the_host_is_measured_as_any_other(folder):
    examples = read_set(find_pictures(folder), scale=2)
    spec, seen = Bicubic(2), []

    def repeat(lr):
        seen.append(lr.shape)
        return lr.repeat(2, 0).repeat(2, 1)

    mesh = make_mesh(devices=8)
    host = evaluate(repeat, examples, degradation=spec, mesh=mesh)
    assert len(seen) == 4  # and nothing for what fills up the devices
    nearest = evaluate("nearest", examples, degradation=spec, mesh=mesh)
    for name, figures in host["images"].items():
        assert figures == pytest.approx(nearest["images"][name], abs=1e-4)


@pytest.mark.slow
def test_dictionaries_are_learnt_from_pictures(tmp_path):
    folder = tmp_path / "large"
    paint(folder / "a.png", smooth(80, 80))
    wanted = {"degradation": Bicubic(2), "channels": 3, "ranges": ()}
    learnt = learn([str(folder)], **wanted)
    assert learnt.enlarge(np.full((6, 7, 3), 0.25)).shape == (12, 14, 3) and learnt.seconds > 0
    with pytest.raises(ValueError, match="--dictionary enlarges"):
        learn([str(folder)], **{**wanted, "degradation": make_degradation(NOISE, 1)})


@pytest.mark.slow
def test_learning_is_part_of_the_time(folder):
    learnt = Learnt(lambda lr: lr.repeat(2, 0).repeat(2, 1), 1000.0)
    *_, report = compared({"dictionary": learnt}, [str(folder)], Bicubic(2))
    row = report["methods"]["dictionary"]
    assert row["learning_seconds"] == 1000 < row["seconds"] < 1100
    nearest = report["methods"]["nearest"]
    assert "learning_seconds" not in nearest
    assert row["mean"] == pytest.approx(nearest["mean"], abs=1e-4)


def test_the_rows_of_each_scale():
    assert classical_methods(1) == ("degraded",)
    assert classical_methods(1, original=False) == ("input",)
    assert classical_methods(4) == ("nearest", "bilinear", "bicubic", "lanczos", "wiener")


def test_refusals_say_what_to_do(folder, tmp_path):
    small = paint(tmp_path / "small.png", smooth(14, 40))
    (tmp_path / "broken.png").write_bytes(b"")
    large = paint(tmp_path / "large.png", smooth(30, 30))
    refused = [
        (lambda: read_set([small], scale=2), r"small.png: got \(14, 40\), wanted 15 pixels a side"),
        (lambda: read_set([tmp_path / "broken.png"], scale=2), "is not a readable picture"),
        (lambda: read_set([large], scale=2, channels=4), "large.png: got 3 channels, wanted 4"),
        (
            lambda: evaluate(nearest_network(2), [], degradation=Bicubic(3)),
            "got 3, but the network's is 2",
        ),
        (
            lambda: check_names({"bicubic": nearest_network()}, classical_methods(2)),
            "bicubic is the name of a row that needs none; rename",
        ),
        (
            lambda: list(compared({}, ["absent"], Bicubic(2))),
            "neither a file nor a folder",
        ),
    ]
    for call, words in refused:
        with pytest.raises(ValueError, match=words):
            call()


def test_the_published_figures_of_set5(data_dir):
    examples = read_set(find_pictures(data_dir / "Set5"), scale=4)
    bicubic = evaluate("bicubic", examples, degradation=Bicubic(4))["mean"]
    assert bicubic["psnr_y"] == pytest.approx(28.431, abs=0.005)
    assert bicubic["ssim_y"] == pytest.approx(0.8113, abs=0.0005)

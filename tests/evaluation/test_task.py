"""What is evaluated: a set, pairs, and pictures without originals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxsr.evaluation.evaluate import DEGRADED, Example, check_sizes, evaluate
from jaxsr.evaluation.measures import Measures
from jaxsr.evaluation.saving import make_saver
from jaxsr.evaluation.task import make_task
from jaxsr.imaging import files
from jaxsr.imaging.degrade import Bicubic
from jaxsr.imaging.metrics import psnr
from jaxsr.imaging.resize import resize
from jaxsr.networks.generators import SRVGGNetCompact
from jaxsr.networks.weights import init_weights


def smooth(height, width, seed=0):
    coarse = np.random.default_rng(seed).random((-(-height // 4), -(-width // 4), 3))
    return np.round(resize(coarse, (height, width), method="bicubic").clip(0, 1) * 255)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """HR pictures, and LR ones of the same names that no reduction made."""
    root = tmp_path_factory.mktemp("pairs")
    for name in ("hr", "lr"):
        (root / name).mkdir()
    for i, suffix in enumerate(("", "x2")):
        hr = smooth(24, 30, seed=i).astype(np.uint8)
        Image.fromarray(hr).save(root / "hr" / f"{i}.png")
        Image.fromarray(hr[1::2, 1::2]).save(root / "lr" / f"{i}{suffix}.png")
    return root


def task(**options):
    return make_task(**{"networks": {}, "trained": {}, **options})


def test_pairs_are_given_as_they_are(folders):
    pairs = (str(folders / "lr"), str(folders / "hr"))
    got = task(pairs=pairs, scale=2)
    assert got.dataset == " and ".join(pairs) and got.degradation.scale == 2
    seen = []
    measures = Measures(("psnr_rgb", "consistency"))
    result = evaluate(
        "nearest",
        got.examples,
        degradation=got.degradation,
        measures=measures,
        seen=lambda *pictures: seen.append(pictures),
    )
    for example, lr, sr in seen:
        hr = np.asarray(Image.open(folders / "hr" / example.name))
        np.testing.assert_allclose(lr, hr[1::2, 1::2] / 255, atol=1e-6)
        wanted = hr[1::2, 1::2].repeat(2, 0).repeat(2, 1)
        np.testing.assert_array_equal(sr, wanted)
        a, b = (jnp.asarray(x / 255, jnp.float32)[None] for x in (wanted, hr))
        figure = float(psnr(a, b, crop=2, luma=False)[0])
        assert result["images"][example.name]["psnr_rgb"] == pytest.approx(figure, abs=1e-4)
    assert [example.name for example, _, _ in seen] == ["0.png", "1.png"]


def test_hr_of_a_pair_is_cropped_to_what_its_lr_covers(tmp_path):
    """The LR pictures of the standard sets are of HR ones cropped to a multiple of the scale."""
    hr = smooth(26, 31).astype(np.uint8)
    for name, pixels in {"hr/a_HR.png": hr, "lr/a_LR4.png": hr[:24:4, :28:4]}.items():
        (tmp_path / name).parent.mkdir()
        Image.fromarray(pixels).save(tmp_path / name)
    pairs = (str(tmp_path / "lr"), str(tmp_path / "hr"))
    [example] = task(pairs=pairs, scale=4).examples
    np.testing.assert_array_equal(example.hr, hr[:24, :28])
    np.testing.assert_array_equal(example.lr, hr[:24:4, :28:4])
    Image.fromarray(hr).save(tmp_path / "lr" / "a_LR4.bmp")
    with pytest.raises(ValueError, match=r"a_LR4.png and .*a_LR4.bmp have one name"):
        task(pairs=pairs, scale=4)


def test_pairs_train_restorers_too(folders):
    """A network of scale 1 needs no degradation where the input is there."""
    restorer = init_weights(jax.random.key(0), SRVGGNetCompact(1, num_features=2, num_convs=1))
    pairs = (str(folders / "hr"), str(folders / "hr"))
    got = task(pairs=pairs, networks={"mine": restorer}, trained={"mine": None})
    result = evaluate(DEGRADED, got.examples, degradation=got.degradation)
    assert result["identical"] == 2


def test_pairs_that_are_none_are_refused(folders, tmp_path):
    for name in ("hr", "lr"):
        (tmp_path / name).mkdir()
    Image.fromarray(np.zeros((24, 30, 3), np.uint8)).save(tmp_path / "hr" / "a.png")
    Image.fromarray(np.zeros((12, 16, 3), np.uint8)).save(tmp_path / "lr" / "a.png")
    pairs = (str(tmp_path / "lr"), str(tmp_path / "hr"))
    with pytest.raises(
        ValueError, match=r"a.png: got \(12, 16\) pixels beside \(24, 30\) of a.png"
    ):
        task(pairs=pairs, scale=2)
    Image.fromarray(np.zeros((12, 15, 3), np.uint8)).save(tmp_path / "lr" / "b.png")
    with pytest.raises(
        ValueError, match="b.png: no picture of the other folder has its name, and 1"
    ):
        task(pairs=pairs, scale=2)


def test_pictures_without_originals_are_judged_alone(folders):
    got = task(unpaired=str(folders / "hr"))
    assert got.degradation.scale == 1 and all(e.hr is None for e in got.examples)
    large = [Example(0, "a", None, smooth(100, 200).astype(np.uint8))]
    natural = evaluate(DEGRADED, large, degradation=Bicubic(1), measures=Measures(("niqe",)))
    assert np.isfinite(natural["mean"]["niqe"])
    enlarged = evaluate(
        "nearest", large, degradation=Bicubic(2), measures=Measures(("niqe", "consistency"))
    )
    assert enlarged["mean"]["niqe"] > natural["mean"]["niqe"]


@pytest.mark.parametrize("given", [{}, {"data": ["a"], "unpaired": "b"}])
def test_one_kind_of_pictures_is_wanted(given):
    with pytest.raises(ValueError, match="of --data, --pairs and --no-reference; give one of them"):
        task(**given)


def test_a_picture_too_small_for_a_metric_is_named(folders):
    got = task(data=[str(folders / "hr")], scale=2)
    with pytest.raises(ValueError, match="0.png: .*leave less than 161 x 161"):
        evaluate(
            "nearest",
            got.examples,
            degradation=got.degradation,
            measures=Measures(("ms_ssim_y",)),
        )
    with pytest.raises(ValueError, match="0.png: .*leave less than 161 x 161"):
        check_sizes(got.examples, Measures(("psnr_y", "ms_ssim_y")), scale=2)
    check_sizes(got.examples, Measures(("psnr_y", "consistency")), scale=2)


@pytest.mark.parametrize("dtype, suffix", [(np.uint8, ".png"), (np.float32, ".npy")])
def test_pictures_are_saved_by_method(tmp_path, dtype, suffix):
    sr = (np.random.default_rng(0).random((4, 5, 3)) * 255).astype(dtype)
    example = Example(0, "../set/a.b.png", sr)
    path = make_saver(tmp_path / "out", ["runs/mine"], [example])("runs/mine", example, sr)
    assert path == tmp_path / "out" / "runs_mine" / f"set_a.b{suffix}"
    np.testing.assert_array_equal(files.read(path).pixels, sr)


def test_no_picture_takes_the_place_of_another(tmp_path):
    sr = np.zeros((4, 5, 3), np.uint8)
    examples = [Example(i, name, sr) for i, name in enumerate(["a.png", "a.bmp", "b.png"])]
    save = make_saver(tmp_path, ["x"], examples)
    saved = [save("x", example, sr).name for example in examples]
    assert saved == ["a.png.png", "a.bmp.png", "b.png"]
    assert {path.name for path in (tmp_path / "x").iterdir()} == {*saved}
    with pytest.raises(ValueError, match="a/b would share a_b with another"):
        make_saver(tmp_path, ["a/b", "a_b"], examples)
    alike = [Example(i, name, sr) for i, name in enumerate(["c/d.png", "c_d.png"])]
    with pytest.raises(ValueError, match="c/d.png would share c_d.png with another"):
        make_saver(tmp_path, ["x"], alike)

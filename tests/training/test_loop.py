"""The loop: what it tells and writes, that it goes on exactly, and what it refuses or survives."""

import json
import shutil

import jax
import msgspec
import numpy as np
import pytest
from PIL import Image
from toy_run import GAN, PIXEL, merged, records, tensors, waves

from jaxsr.evaluation.evaluate import degraded, evaluate, read_set
from jaxsr.imaging.degrade import Bicubic
from jaxsr.imaging.find import find_pictures
from jaxsr.interop.layouts import from_weights
from jaxsr.interop.load import load, load_degradation
from jaxsr.interop.pth import write_pth
from jaxsr.networks.weights import init_weights, read_metadata, save_weights
from jaxsr.training import mesh as meshes
from jaxsr.training.checkpoint import Checkpoints
from jaxsr.training.config import degradation, discriminator, generator, load_config, make_config
from jaxsr.training.loop import train
from jaxsr.training.state import abstract_state
from jaxsr.training.validation import Validation, _centre


@pytest.fixture(autouse=True)
def fold_the_root_again():
    """Each step folds the run's root key anew, which the checker of key reuse takes for reuse."""
    with jax.debug_key_reuse(False):
        yield


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return waves(tmp_path_factory.mktemp("pictures"))


# Two stages, an evaluation that is no save, a save that is no evaluation.
STAGED = merged(
    GAN,
    {
        "train": {"steps": 6, "pixel_steps": 4, "save_every": 5, "keep": 9},
        "eval": {"every": 3},
        "loss": {"penalty": {"kind": "r1", "every": 3}},
    },
)


@pytest.fixture(scope="module")
def config(pictures):
    return make_config(merged(STAGED, {"data": {"train": str(pictures), "val": str(pictures)}}))


def pixel_config(pictures, **sections):
    return make_config(merged(merged(PIXEL, {"data": {"train": str(pictures)}}), sections))


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """The records and the folder of a run that nothing interrupts."""
    run = tmp_path_factory.mktemp("runs") / "deep" / "whole"
    with jax.debug_key_reuse(False):
        return list(train(config, run)), run


def last_state(config, run):
    checkpoints = Checkpoints(run, keep=9)
    state, note = checkpoints.restore(abstract_state(config, meshes.make_mesh()))
    checkpoints.close()
    state = state.replace(key=jax.random.key_data(state.key))
    return jax.device_get(state), note


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def stop_at(run, event, step):
    """Close a run once it hands out the record; a step's own comes one step late."""
    for record in run:
        if (record["event"], record.get("step")) == (event, step):
            run.close()


def test_tells_what_it_does_in_order(whole):
    told, _ = whole
    assert [(r["event"], r.get("step")) for r in told] == [
        ("data", None),
        ("start", 0),
        ("baseline", 0),
        ("step", 1),
        ("step", 2),
        ("step", 3),
        ("eval", 3),
        ("step", 4),
        ("eval", 4),
        ("save", 4),
        ("step", 5),
        ("save", 5),
        ("step", 6),
        ("eval", 6),
        ("save", 6),
        ("end", 6),
    ]
    steps = [r for r in told if r["event"] == "step"]
    assert [r["examples"] for r in steps] == [f"{8 * i}-{8 * i + 7}" for i in range(6)]
    assert ["d_loss" in r for r in steps] == [False] * 4 + [True] * 2
    # A lazy penalty is taken at multiples of `every`, so that it stands among those logged.
    assert ["penalty" in r for r in steps] == [False] * 5 + [True]
    evaluations = [r for r in told if r["event"] == "eval"]
    best = max(evaluations, key=lambda r: r["psnr_y"])
    assert told[-1]["best"] == {"metric": "psnr_y", "value": best["psnr_y"], "step": best["step"]}


def test_writes_a_run_directory(whole, config):
    told, run = whole
    assert load_config(run / "config.toml") == config
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["4", "5", "6"]
    weights = {p.name: read_metadata(p) for p in (run / "weights").iterdir()}
    best = str(told[-1]["best"]["step"])
    assert {name: m["step"] for name, m in weights.items() if name != "best.safetensors"} == {
        "last.safetensors": "6",
        "pixel.safetensors": "4",
    }
    assert weights["best.safetensors"]["step"] == best
    for metadata in weights.values():
        (run.parent / "again.toml").write_text(metadata["config"])
        assert load_config(run.parent / "again.toml") == config
    state, _ = last_state(config, run)
    averaged = {f"params/{k}/{n}": v for k, leaves in state.ema.items() for n, v in leaves.items()}
    assert_same(tensors(run / "weights" / "last.safetensors"), averaged)
    assert any((run / "tensorboard").iterdir())
    assert sorted(p.name for p in (run / "images").iterdir()) == [
        "0000003.png",
        "0000004.png",
        "0000006.png",
    ]
    with Image.open(run / "images" / "0000006.png") as grid:
        assert grid.size == (3 * 48 + 2 * 4, 16 + 4 * (48 + 4))


def test_logs_every_record_as_json(whole):
    told, run = whole
    written = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    wanted = [{k: v for k, v in r.items() if k != "grid"} for r in told if r["event"] != "data"]
    assert written == wanted


def test_the_kept_pixel_weights_are_those_of_the_border(whole, config, tmp_path):
    """Donation must not have written over what was evaluated and kept for a later save."""
    _, run = whole
    early = tmp_path / "run"
    shutil.copytree(run, early)
    for step in ("5", "6"):
        shutil.rmtree(early / "checkpoints" / step)
    state, _ = last_state(config, early)
    averaged = {f"params/{k}/{n}": v for k, leaves in state.ema.items() for n, v in leaves.items()}
    assert_same(tensors(run / "weights" / "pixel.safetensors"), averaged)


def test_a_stopped_run_goes_on_as_if_it_had_not(whole, config, tmp_path):
    """Stopped after step 3, where no save is due; on with workers, across the border of stages."""
    _, run = whole
    again = tmp_path / "run"
    stop_at(train(config, again), "step", 2)
    assert [p.name for p in (again / "checkpoints").iterdir()] == ["3"]
    assert [r["step"] for r in records(again)] == [1, 2, 3]
    # What a killed save leaves behind is no checkpoint.
    shutil.copytree(again / "checkpoints" / "3", again / "checkpoints" / "4.orbax-checkpoint-tmp")
    (again / "weights" / ".staged-4").mkdir()
    with (again / "metrics.jsonl").open("a") as log:
        log.write('{"event": "step", "step": 4}\n{"event": "st')
    resumed = make_config(
        merged(
            STAGED,
            {"data": {"train": config.data.train, "val": config.data.val} | {"workers": 2}},
        )
    )
    told = list(train(resumed, again))
    assert told[1] == {"event": "start", "step": 3, "steps": 6}
    (state, note), (wanted, wanted_note) = last_state(config, again), last_state(config, run)
    assert_same(state, wanted)
    assert note == wanted_note
    for name in ("last", "best", "pixel"):
        files = (where / "weights" / f"{name}.safetensors" for where in (again, run))
        assert_same(*map(tensors, files))
    assert records(again) == records(run)
    assert records(again, "eval") == records(run, "eval")
    assert sorted(p.name for p in (again / "weights").iterdir()) == sorted(
        p.name for p in (run / "weights").iterdir()
    )


def test_stopped_between_a_checkpoint_and_its_weight_files_they_are_found(pictures, tmp_path):
    config = pixel_config(pictures, train={"steps": 2})
    list(train(config, tmp_path / "run"))
    weights = tmp_path / "run" / "weights"
    wanted = (weights / "last.safetensors").read_bytes()
    (weights / ".staged-2").mkdir()
    (weights / "last.safetensors").rename(weights / ".staged-2" / "last.safetensors")
    (weights / ".staged-3").mkdir()
    (weights / ".staged-3" / "last.safetensors").write_bytes(b"of a save that was killed")
    list(train(config, tmp_path / "run"))
    assert [p.name for p in weights.iterdir()] == ["last.safetensors"]
    assert (weights / "last.safetensors").read_bytes() == wanted


@pytest.mark.parametrize(
    "section, field, value",
    [
        ("generator", "num_features", 8),
        ("discriminator", "num_features", 4),
        ("optim", "name", "sgd"),
    ],
)
def test_a_run_of_another_network_is_refused(whole, config, section, field, value):
    _, run = whole
    before = sorted(p for p in run.rglob("*"))
    data = {"data": {"train": config.data.train}, section: {field: value}}
    with pytest.raises(ValueError, match=rf"{section}\.{field} was .+ and is {value!r}"):
        next(train(make_config(merged(STAGED, data)), run))
    assert sorted(p for p in run.rglob("*")) == before


def test_a_default_that_is_written_out_is_no_other_network(whole, config):
    _, run = whole
    same = {"data": {"train": config.data.train}, "generator": {"channels": 3}}
    assert next(train(make_config(merged(STAGED, same)), run))["event"] == "data"


def test_starts_from_other_weights(pictures, tmp_path):
    config = pixel_config(
        pictures, train={"steps": 1, "init": str(tmp_path / "w.safetensors")}, optim={"lr": 0.0}
    )
    save_weights(tmp_path / "w.safetensors", init_weights(jax.random.key(99), generator(config)))
    list(train(config, tmp_path / "run"))
    begun = tensors(tmp_path / "w.safetensors")
    for name, value in tensors(tmp_path / "run" / "weights" / "last.safetensors").items():
        np.testing.assert_allclose(value, begun[name], atol=1e-6)  # an average of equals, rounded
    other = pixel_config(
        pictures, train={"init": str(tmp_path / "w.safetensors")}, generator={"num_features": 5}
    )
    with pytest.raises(
        ValueError, match="train.init: got weights of the generator .*'num_features': 4"
    ):
        next(train(other, tmp_path / "other"))
    assert not (tmp_path / "other").exists()
    (tmp_path / "w.safetensors").unlink()
    assert list(train(config, tmp_path / "run"))[-1]["event"] == "end"  # going on needs it no more


def test_starts_from_another_discriminator(config, tmp_path):
    file = tmp_path / "d.pth"
    d = init_weights(jax.random.key(98), discriminator(config))
    write_pth(file, from_weights(d))
    still = {"train": {"steps": 1, "pixel_steps": 0, "init_discriminator": str(file)}}
    begun = make_config(merged(msgspec.to_builtins(config), merged(still, {"optim": {"lr": 0.0}})))
    list(train(begun, tmp_path / "run"))
    state, _ = last_state(begun, tmp_path / "run")
    assert_same(state.d.params, jax.device_get(d.params))
    wide = merged(msgspec.to_builtins(begun), {"discriminator": {"num_features": 3}})
    with pytest.raises(
        ValueError, match="train.init_discriminator: got weights of the discriminator .*: 2"
    ):
        next(train(make_config(wide), tmp_path / "other"))
    assert not (tmp_path / "other").exists()


def test_a_damaged_checkpoint_is_named(config, whole, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole[1], run)
    (run / "checkpoints" / "6" / "state" / "_METADATA").write_text("{")
    with pytest.raises(OSError, match="checkpoints/6 cannot be read .*; remove that folder"):
        list(train(config, run))
    shutil.rmtree(run / "checkpoints" / "6")
    assert [r["step"] for r in train(config, run) if r["event"] == "start"] == [5]


def test_a_damaged_config_of_the_run_is_named(config, whole, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole[1], run)
    (run / "config.toml").write_text("[train]\nsteps = 1\nkeeps = 2\n")
    with pytest.raises(ValueError, match=r"run/config\.toml, which the run keeps: train\.keeps"):
        next(train(config, run))


def spoil(monkeypatch, bad):
    """Make the batches of the given numbers not finite on their way to the devices."""
    place, count = meshes.global_batch, iter(range(99))

    def spoiled(mesh, batch):
        fill = np.nan if next(count) in bad else 0.5
        return place(mesh, batch | {"hr": np.full(batch["hr"].shape, fill, np.float32)})

    monkeypatch.setattr(meshes, "global_batch", spoiled)


def test_a_run_that_is_never_finite_saves_and_stops(pictures, tmp_path, monkeypatch):
    spoil(monkeypatch, bad=range(2, 99))
    config = pixel_config(pictures, train={"steps": 9, "max_skipped": 3})
    run = tmp_path / "run"
    with pytest.raises(FloatingPointError, match="3 times in a row.* 16-23, 24-31, 32-39;"):
        list(train(config, run))
    state, _ = last_state(config, run)
    [checkpoint] = (run / "checkpoints").iterdir()
    assert state.step == int(checkpoint.name) and state.position == 8 * state.step
    assert [r["step"] for r in records(run)] == list(range(1, state.step + 1))
    assert [r["g_loss"] is None for r in records(run)] == [False] * 2 + [True] * (state.step - 2)


def test_a_batch_that_is_not_finite_is_skipped(pictures, tmp_path, monkeypatch):
    spoil(monkeypatch, bad=[1, 2, 4])
    config = pixel_config(pictures, train={"steps": 6, "max_skipped": 3, "log_every": 100})
    told = list(train(config, tmp_path / "run"))
    assert [r["skipped"] for r in told if r["event"] == "step"] == [0, 1, 2, 0, 1, 0]
    assert told[-1]["event"] == "end"
    assert [r["step"] for r in records(tmp_path / "run")] == [2, 3, 5]  # however seldom it logs


def test_an_unreadable_picture_is_told_of_once(tmp_path, paint, truncate):
    folder = waves(tmp_path / "pictures", count=1)
    paint(folder / "broken.png", 48, 48)
    truncate(folder / "broken.png")
    told = list(train(pixel_config(folder, train={"steps": 4}), tmp_path / "run"))
    [bad] = [r for r in told if r["event"] == "unreadable"]
    assert bad["path"] == str(folder / "broken.png") and "not a readable picture" in bad["reason"]
    assert (told[-1]["event"], told[-1]["unreadable"]) == ("end", 1)
    (folder / "0.png").unlink()
    with pytest.raises(ValueError, match="none of the 1 training pictures can be decoded.*broken"):
        list(train(pixel_config(folder), tmp_path / "other"))


def test_eight_devices_evaluate_as_one(pictures):
    weights = init_weights(jax.random.key(0), generator(pixel_config(pictures)))
    examples = read_set(find_pictures(str(pictures)), scale=2)
    one, eight = (
        evaluate(weights, examples, degradation=Bicubic(2), mesh=meshes.make_mesh(devices=n))
        for n in (1, 8)
    )
    assert list(one["images"]) == list(eight["images"]) == [f"{i}.png" for i in range(4)]
    for name, figures in one["images"].items():
        assert eight["images"][name] == pytest.approx(figures, abs=1e-4)


DCGAN = {
    "generator": {"name": "dcgan", "size": 8, "latent": 3, "num_features": 2},
    "discriminator": {"name": "strided", "features": [2]},
    "loss": {"adversarial": {"weight": 1.0}},
    "data": {"crop": 8},
    "train": {"steps": 4, "batch_size": 8, "log_every": 1, "save_every": 2},
    "eval": {"every": 2, "images": 5},
}


@pytest.mark.slow
def test_noise_to_image_shows_pictures_and_goes_on_exactly(pictures, tmp_path):
    """The noise of a step is that of its examples' numbers, so a resumed run draws the same."""
    config = make_config(merged(DCGAN, {"data": {"train": str(pictures)}}))
    told = list(train(config, tmp_path / "whole"))
    assert [r["event"] for r in told if r["event"] != "step"] == [
        *("data", "start", "eval", "save", "eval", "save", "end"),
    ]
    assert not any(name.startswith("psnr") for r in told for name in r)
    grids = [r["grid"] for r in told if r["event"] == "eval"]
    assert grids[0].shape == (2 * 8 + 2, 3 * 8 + 4, 3)
    assert np.any(grids[0] != grids[1])
    assert {p.name for p in (tmp_path / "whole" / "images").iterdir()} == {
        *("0000002.png", "0000004.png")
    }
    stop_at(train(config, tmp_path / "parts"), "save", 2)
    list(train(config, tmp_path / "parts"))
    assert_same(last_state(config, tmp_path / "whole"), last_state(config, tmp_path / "parts"))


@pytest.mark.slow
def test_samples_of_six_bands_are_shown(tmp_path):
    for i in range(3):
        np.save(tmp_path / f"{i}.npy", np.full((8, 8, 6), 40 * i, np.uint8))
    six = {"generator": {"channels": 6}, "discriminator": {"channels": 6}, "train": {"steps": 1}}
    config = make_config(merged(merged(DCGAN, {"data": {"train": str(tmp_path)}}), six))
    told = list(train(config, tmp_path / "run"))
    [grid] = [r["grid"] for r in told if r["event"] == "eval"]
    assert grid.shape == (2 * 8 + 2, 3 * 8 + 4, 3) and grid.dtype == np.uint8


@pytest.mark.slow
def test_restoring_is_measured_beside_what_was_given(pictures, tmp_path):
    sections = {
        "generator": {"scale": 1},
        "degrade": {"kind": "noise", "sigma": [20, 30]},
        "data": {"val": str(pictures)},
        "train": {"steps": 1},
    }
    told = list(train(pixel_config(pictures, **sections), tmp_path / "run"))
    [base] = [r for r in told if r["event"] == "baseline"]
    assert base["method"] == "degraded" and 18 < base["psnr_rgb"] < 24
    [result] = [r for r in told if r["event"] == "eval"]
    assert abs(result["psnr_rgb"] - base["psnr_rgb"]) < 6  # a nearest-neighbour base at scale 1
    assert load_degradation(tmp_path / "run")["steps"][0]["op"] == "noise"


@pytest.mark.slow
def test_degrading_larger_crops_goes_on_exactly_and_is_measured_on_the_middle(pictures, tmp_path):
    sections = {
        "degrade": {"kind": "noise", "sigma": [5, 25], "crop": 32},
        "data": {"val": str(pictures)},
        "train": {"steps": 3, "save_every": 9},
        "eval": {"every": 3, "image_size": 16},
    }
    config = pixel_config(pictures, **sections)
    told = list(train(config, tmp_path / "whole"))
    stop_at(train(config, tmp_path / "parts"), "step", 1)
    list(train(config, tmp_path / "parts"))
    assert_same(last_state(config, tmp_path / "whole"), last_state(config, tmp_path / "parts"))
    assert records(tmp_path / "whole") == records(tmp_path / "parts")
    [base] = [r for r in told if r["event"] == "baseline"]
    middles = [
        e._replace(hr=e.hr[8:40, 8:40]) for e in read_set(find_pictures(str(pictures)), scale=2)
    ]
    by_hand = evaluate("bicubic", middles, degradation=degradation(config), mesh=meshes.make_mesh())
    assert base["psnr_y"] == pytest.approx(by_hand["mean"]["psnr_y"], abs=1e-4)


def test_a_picture_too_small_to_be_degraded_is_named(pictures, tmp_path):
    sections = {
        "generator": {"scale": 4},
        "degrade": {"kind": "realesrgan", "crop": 68},
        "data": {"val": str(pictures)},
    }
    message = "data.val: 0.png has 48 x 48 pixels, wanted 68 a side for degrade.kind = realesrgan"
    with pytest.raises(ValueError, match=message):
        Validation(pixel_config(pictures, **sections), meshes.make_mesh())


@pytest.mark.parametrize("size", [16, 24])
def test_the_grid_shows_the_lr_that_is_measured(pictures, size):
    """Of a degradation of whole crops, however much of it is shown."""
    sections = {
        "degrade": {"kind": "noise", "sigma": [30, 30], "crop": 32},
        "data": {"val": str(pictures)},
        "eval": {"image_size": size},
    }
    config = pixel_config(pictures, **sections)
    validation = Validation(config, meshes.make_mesh())
    example = validation.examples[1]
    whole = degraded(np.array([example.number]), example.hr[None], degradation(config))
    edge = 8 - size // 4
    wanted = np.asarray(whole)[:, edge : 16 - edge, edge : 16 - edge]
    np.testing.assert_array_equal(validation._small(example, size), wanted)


def test_pairs_are_measured_as_they_are(pictures, tmp_path):
    (tmp_path / "lr").mkdir()
    for path in pictures.iterdir():
        with Image.open(path) as image:
            image.transpose(Image.Transpose.ROTATE_180).save(tmp_path / "lr" / path.name)
    sections = {
        "generator": {"scale": 1},
        "data": {"lr": str(tmp_path / "lr"), "val": str(pictures), "val_lr": str(tmp_path / "lr")},
        "train": {"steps": 1},
        "eval": {"image_size": 20},
    }
    told = list(train(pixel_config(pictures, **sections), tmp_path / "run"))
    [base] = [r for r in told if r["event"] == "baseline"]
    [grid] = [r["grid"] for r in told if "grid" in r]
    originals = [np.asarray(Image.open(p)) for p in sorted(pictures.iterdir())]
    psnrs = [
        10 * np.log10(255**2 / np.square(np.subtract(x, x[::-1, ::-1], dtype=float)).mean())
        for x in originals
    ]
    assert base["method"] == "degraded"
    assert base["psnr_rgb"] == pytest.approx(np.mean(psnrs), abs=1e-3)
    degraded, original = grid[16:36, :20], grid[16:36, 48:]
    np.testing.assert_array_equal(degraded[::-1, ::-1], original)
    np.testing.assert_array_equal(original, originals[0][14:34, 14:34])


def test_crops_of_a_pair_show_the_same():
    hr = np.arange(66 * 82).reshape(66, 82, 1)
    np.testing.assert_array_equal(_centre(hr, 20, 2)[::2, ::2], _centre(hr[::2, ::2], 10))


@pytest.mark.slow
def test_pictures_that_nothing_befell_are_counted(pictures, tmp_path):
    """Of four, noise meets some; the baseline is the mean of those."""
    sections = {
        "generator": {"scale": 1},
        "degrade": {"kind": "noise", "sigma": [20, 30], "probability": 0.5},
        "data": {"val": str(pictures)},
        "train": {"steps": 1},
        "eval": {"images": 0},
    }
    told = list(train(pixel_config(pictures, **sections), tmp_path / "run"))
    [base] = [r for r in told if r["event"] == "baseline"]
    assert 0 < base["identical"] < 4 and 18 < base["psnr_rgb"] < 24
    [written] = records(tmp_path / "run", "baseline")
    assert written["identical"] == base["identical"]


@pytest.mark.slow
def test_bands_train_from_arrays(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(3):
        np.save(tmp_path / f"{i}.npy", rng.integers(0, 4096, (40, 44, 6), np.uint16))
    sections = {
        "generator": {"channels": 6},
        "data": {"val": str(tmp_path), "ranges": [[0, 4096]]},
        "train": {"steps": 1},
    }
    told = list(train(pixel_config(tmp_path, **sections), tmp_path / "run"))
    [base], [result] = ([r for r in told if r["event"] == e] for e in ("baseline", "eval"))
    assert 0 < base["psnr"] < 30 and 0 < result["psnr"] < 30 and "psnr_y" not in result
    assert result["grid"].shape[-1] == 3
    assert told[-1]["best"]["metric"] == "psnr"
    assert load(tmp_path / "run").ranges == ((0.0, 4096.0),)


@pytest.mark.slow
def test_a_network_overfits_and_then_plays_the_game(pictures, tmp_path):
    config = make_config(
        merged(
            GAN,
            {
                "generator": {"num_features": 16, "num_convs": 2},
                "data": {"train": str(pictures), "val": str(pictures)},
                "optim": {"lr": 3e-3, "ema": 0.9, "schedule": "cosine"},
                "train": {"steps": 153, "pixel_steps": 150},
                "eval": {"every": 1000, "images": 0},
            },
        )
    )
    told = list(train(config, tmp_path / "run", mesh=meshes.make_mesh(devices=1)))
    pixel = next(r for r in told if r["event"] == "eval")
    examples = read_set(find_pictures(str(pictures)), scale=2)
    bicubic = evaluate("bicubic", examples, degradation=Bicubic(2))
    assert pixel["step"] == 150
    assert pixel["psnr_y"] > bicubic["mean"]["psnr_y"] + 0.3
    game = [r for r in told if r["event"] == "step" and "d_loss" in r]
    assert [r["step"] for r in game] == [151, 152, 153]
    assert not any(r["skipped"] for r in game) and told[-1]["event"] == "end"


def test_metrics_that_the_pictures_are_too_small_for_are_refused_at_once(pictures, tmp_path):
    sections = {"data": {"val": str(pictures)}, "eval": {"metrics": ["niqe"]}}
    with pytest.raises(ValueError, match="0.png: .*96 x 192 of NIQE"):
        next(train(pixel_config(pictures, **sections), tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_the_best_by_a_distance_is_the_least(pictures, tmp_path):
    """Consistency falls as the network learns, and is better so."""
    sections = {
        "data": {"train": str(pictures), "val": str(pictures)},
        "train": {"steps": 6},
        "eval": {"every": 2, "best": "consistency", "metrics": ["shift_r"], "images": 0},
    }
    told = list(train(pixel_config(pictures, **sections), tmp_path / "run"))
    results = {r["step"]: r["consistency"] for r in told if r["event"] == "eval"}
    best = told[-1]["best"]
    assert best["metric"] == "consistency" and best["value"] == min(results.values())
    assert results[best["step"]] == best["value"] and len(set(results.values())) == 3

"""The commands as a person meets them: what they print and write, how they end."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from PIL import Image
from toy_run import (
    PIXEL,
    environment,
    finish,
    jaxsr,
    logged,
    merged,
    records,
    start,
    tensors,
    wait_for,
    waves,
    write_config,
    write_weights,
)

from jaxsr import __version__, load, upscale_tiled
from jaxsr.imaging.files import Picture, read, write
from jaxsr.networks.generators import DCGANGenerator
from jaxsr.networks.weights import init_weights, read_metadata, save_weights

NOTED = "\nstopping after this step, then saving; once more stops at once, unsaved\n"
LONG = {"train": {"steps": 1000, "save_every": 2000}}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return waves(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    return environment(tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="module")
def config(pictures, tmp_path_factory):
    """A run long enough to be hit in its middle."""
    path = tmp_path_factory.mktemp("config") / "toy.toml"
    return write_config(path, merged(PIXEL, LONG), data={"train": str(pictures)})


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights") / "toy.safetensors")


@pytest.fixture(scope="module")
def whole(config, env, tmp_path_factory):
    """The folder of a run that nothing interrupts."""
    run = tmp_path_factory.mktemp("whole") / "run"
    code, _, errors = finish(start(["train", config, "--run-dir", run], env))
    assert code == 0, errors
    return run


def assert_equal_runs(run, other):
    assert records(run) == records(other)
    mine, theirs = (r / "weights" / "last.safetensors" for r in (run, other))
    assert read_metadata(mine)["step"] == read_metadata(theirs)["step"]
    wanted = tensors(theirs)
    for name, value in tensors(mine).items():
        np.testing.assert_array_equal(value, wanted[name], err_msg=name)


def test_prints_a_line_every_so_many_steps(config, env, tmp_path):
    told = finish(
        start(
            ["train", config, "--run-dir", tmp_path / "r", "--set", "train.steps=25"]
            + ["--set", "train.log_every=10"],
            env | {"COLUMNS": "80"},
        )
    )
    assert told[0] == 0 and "Traceback" not in told[2]
    assert told[1].startswith("4 training pictures\n")
    lines = [line for line in told[1].splitlines() if line.startswith("pixel")]
    assert [line.split()[1] for line in lines] == ["10/25", "20/25", "25/25"]
    for line in lines:
        assert all(word in line for word in ("steps/s", " left ", " g 0.")), line
    assert "…" not in told[1]


@pytest.mark.parametrize(
    "number, code",
    [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)],
)
def test_a_signal_saves_and_the_run_goes_on(whole, config, env, tmp_path, number, code):
    """To all processes of the group, as a terminal and many a scheduler send it."""
    run = tmp_path / "run"
    command = ["train", config, "--run-dir", run]
    process = start([*command, "--set", "data.workers=2"], env)
    wait_for(lambda: logged(run) > 20, process)
    os.killpg(process.pid, number)
    ended, _, errors = finish(process)
    assert ended == code, errors
    assert errors == NOTED + "stopped; the same command goes on from here\n"
    [saved] = (run / "checkpoints").iterdir()
    assert 20 <= int(saved.name) < 1000
    assert [r["step"] for r in records(run)] == list(range(1, int(saved.name) + 1))
    assert finish(start(command, env))[0] == 0
    assert_equal_runs(run, whole)


@pytest.mark.parametrize(
    "number, code",
    [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)],
)
def test_a_second_signal_stops_at_once(config, tmp_path, number, code):
    """While it compiles, where an exception crashes the process; a deep network makes that long."""
    run = tmp_path / "run"
    command = ["train", config, "--run-dir", run, "--set", "generator.num_convs=40"]
    process = start(command, environment(tmp_path / "cache"))
    wait_for(lambda: logged(run) > 0, process)
    time.sleep(0.3)  # from the first record on to the compilation
    process.send_signal(number)
    time.sleep(0.3)
    process.send_signal(number)
    ended, _, errors = finish(process)
    assert (ended, errors) == (code, NOTED)
    assert not list((run / "checkpoints").iterdir())


def test_a_run_killed_while_it_saves_goes_on_from_its_last_checkpoint(whole, config, env, tmp_path):
    run = tmp_path / "run"
    command = ["train", config, "--run-dir", run]
    process = start([*command, "--set", "train.save_every=7"], env)

    def saving():
        return logged(run) > 30 and any("tmp" in p.name for p in (run / "checkpoints").iterdir())

    wait_for(saving, process)
    os.killpg(process.pid, signal.SIGKILL)
    assert finish(process)[0] == -signal.SIGKILL
    code, output, errors = finish(start(command, env))
    assert code == 0, errors
    begun = int(output.split(": step ")[1].split()[0])
    assert begun % 7 == 0 and begun > 0
    assert_equal_runs(run, whole)
    assert not any("tmp" in path.name for path in (run / "checkpoints").iterdir())


@pytest.mark.slow
def test_no_worker_outlives_a_killed_run(config, env, tmp_path):
    run = tmp_path / "run"
    endless = ["--set", "data.workers=2", "--set", "train.steps=1000000"]
    process = start(["train", config, "--run-dir", run, *endless], env)
    wait_for(lambda: logged(run) > 20, process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    limit = time.monotonic() + 20
    while _group_lives(process.pid) and time.monotonic() < limit:
        time.sleep(0.1)
    lived = _group_lives(process.pid)
    if lived:
        os.killpg(process.pid, signal.SIGKILL)
    finish(process)
    assert not lived


def _group_lives(leader):
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


def test_starting_a_finished_run_again_changes_nothing(whole, config):
    before = (whole / "weights" / "last.safetensors").read_bytes(), records(whole)
    code, told, _ = jaxsr("train", config, "--run-dir", whole)
    assert code == 0 and "step 1000 of 1000, finished; a higher train.steps trains on" in told
    assert ((whole / "weights" / "last.safetensors").read_bytes(), records(whole)) == before


def test_a_run_that_stands_further_is_refused(whole, config):
    before = (whole / "config.toml").read_bytes()
    assert_refused(
        ["train", config, "--run-dir", whole, "--set", "train.steps=900"],
        "got 900, while .* stands at step 1000; raise it",
    )
    assert (whole / "config.toml").read_bytes() == before


def empty(tmp_path):
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def corrupt(tmp_path):
    folder = waves(tmp_path / "corrupt", count=1)
    (folder / "0.png").write_bytes(b"no picture")
    return folder


def truncated(tmp_path):
    """Pictures whose headers are sound."""
    folder = waves(tmp_path / "truncated", count=1)
    (folder / "0.png").write_bytes((folder / "0.png").read_bytes()[:1500])
    return folder


# What is asked wrongly: options beside the config and the run directory, and what the error says.
WRONG = {
    "unknown key": (["--set", "train.stepz=3"], r"train\.stepz.*did you mean 'steps'"),
    "unknown section": (["--set", "trian.steps=3"], r"trian.*did you mean 'train'"),
    "no value": (["--set", "train.steps"], r"--set train.steps: wanted section\.key=value"),
    "wrong type": (["--set", "train.steps=many"], r"train\.steps: Expected `int`"),
    "missing folder": (["--set", "data.train=/nowhere"], "/nowhere is neither a file nor a folder"),
    "empty folder": (["--set", empty], "holds no picture"),
    "corrupt picture": (["--set", corrupt], r"no picture in .* can be used: .*0\.png"),
    "truncated picture": (["--set", truncated], r"none of the 1 .* can be decoded.*0\.png"),
    "large crop": (["--set", "data.crop=64"], "the crop 64 is larger than every picture"),
    "channels": (["--set", "generator.channels=2"], r"generator\.channels is 2"),
    "batch": (["--set", "train.batch_size=6"], r"train\.batch_size: got 6, wanted a multiple of 8"),
    "no weights": (["--set", "train.init=/no.safetensors"], r"train\.init: no weights at /no\."),
    "processes": (["--processes", "2"], "--processes and --process-id need --distributed"),
    "no port": (
        ["--distributed", "--coordinator", "here", "--processes", "1", "--process-id", "0"],
        "--coordinator: got here, wanted HOST:PORT",
    ),
    "no cluster": (["--distributed"], "--distributed: .* Give --coordinator"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_asked_wrongly_is_one_sentence_and_leaves_nothing(name, config, tmp_path):
    options, wanted = WRONG[name]
    options = [f"data.train={o(tmp_path)}" if callable(o) else o for o in options]
    run = tmp_path / "run"
    assert_refused(["train", config, "--run-dir", run, *options], wanted)
    assert not run.exists()


def assert_refused(arguments, wanted):
    code, _, errors = jaxsr(*arguments)
    assert code == 2
    assert errors.startswith("error: ") and errors.count("\n") == 1
    assert re.search(wanted, errors), errors


def test_a_missing_config_is_refused(tmp_path):
    assert_refused(["train", tmp_path / "no.toml", "--run-dir", tmp_path / "r"], "no config at")
    assert not (tmp_path / "r").exists()


def test_weights_of_another_network_are_refused(config, weights, tmp_path):
    options = ["--set", f"train.init={weights}", "--set", "generator.num_features=5"]
    assert_refused(
        ["train", config, "--run-dir", tmp_path / "r", *options], "'num_features': 4.*wanted"
    )
    assert not (tmp_path / "r").exists()


def test_a_folder_that_is_no_run_is_refused(config, weights, pictures, tmp_path):
    folder = waves(tmp_path / "holiday", count=1)
    assert_refused(["train", config, "--run-dir", folder], "not a run directory")
    assert_refused(["train", config, "--run-dir", folder / "0.png"], "is a file")
    assert [p.name for p in folder.iterdir()] == ["0.png"]
    upscale = ["upscale", pictures, "-o", tmp_path / "out", "--weights", folder]
    assert_refused(upscale, "not a run directory")
    assert not (tmp_path / "out").exists()


def test_a_corrupt_picture_among_others_is_left_out(config, tmp_path):
    folder = waves(tmp_path / "some [red]", count=2)
    (folder / "bad.png").write_bytes(b"no picture")
    run = tmp_path / "run"
    options = ["--set", f"data.train={folder}", "--set", "train.steps=1"]
    code, output, _ = jaxsr("train", config, "--run-dir", run, *options)
    assert code == 0
    assert output.splitlines()[0] == "2 training pictures"
    assert output.splitlines()[1].startswith(f"left out {folder / 'bad.png'}: ")


def test_upscales_what_it_can_read(weights, tmp_path):
    folder = waves(tmp_path / "in", count=2, size=16)
    (folder / "bad.png").write_bytes(b"no picture")
    for name in ("notes.txt", ".hidden"):
        (folder / name).write_text("not by its name")
    code, output, errors = jaxsr("upscale", folder, "-o", tmp_path / "out", "-w", weights)
    assert code == 1
    assert f"error: {folder / 'bad.png'}" in errors and "1 of 3 pictures failed" in errors
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        *("0.png", "1.png", "jaxsr-manifest.jsonl"),
    ]
    with Image.open(tmp_path / "out" / "0.png") as picture:
        assert picture.size == (32, 32)
    assert str(tmp_path / "out" / "0.png") in output
    assert "1 files in the folders are no pictures" in output


def test_a_method_needs_no_weights(pictures, tmp_path):
    arguments = ["upscale", pictures / "0.png", "-o", tmp_path / "big.png"]
    assert jaxsr(*arguments, "--method", "lanczos", "--scale", "3")[0] == 0
    with Image.open(tmp_path / "big.png") as picture:
        assert picture.size == (144, 144)
    for options, words in (
        ([], "neither of --weights and --method"),
        (["--method", "lanczos"], "lanczos needs to know how far; give a scale or a size"),
        (["--method", "cubic", "--scale", "2"], "method: got cubic, wanted one of nearest"),
    ):
        assert_refused([*arguments, *options], words)


def test_weights_go_to_any_scale(weights, pictures, tmp_path):
    arguments = ["upscale", pictures / "0.png", "-o", tmp_path / "big.png", "-w", weights]
    assert jaxsr(*arguments, "--scale", "1.5")[0] == 0
    with Image.open(tmp_path / "big.png") as picture:
        assert picture.size == (72, 72)
    assert jaxsr(*arguments, "--size", "50x61")[0] == 0
    with Image.open(tmp_path / "big.png") as picture:
        assert picture.size == (50, 61)
    assert_refused([*arguments, "--method", "bicubic"], "got both of --weights and --method")


def test_all_that_is_done_around_a_network(weights, pictures, tmp_path):
    options = ["--self-ensemble", "--consistency", "--blend", weights, "--strength", "0.3"]
    options += ["--mode", "overlap", "--tile", "16", "--dtype", "bfloat16", "--scale", "3"]
    options += ["--depth", "16", "--format", "png", "--name", "{stem}_x{scale}"]
    code, output, errors = jaxsr("upscale", pictures, "-o", tmp_path, "-w", weights, *options)
    assert code == 0, errors
    assert "0_x3.png" in output and "it differs from the input by" in output
    assert read(tmp_path / "0_x3.png").pixels.dtype == np.uint16
    assert read(tmp_path / "0_x3.png").pixels.shape == (144, 144, 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--mode", "tiles"], "mode: got tiles"),
        (["--dtype", "float16"], "dtype: got float16"),
        (["--depth", "12"], "--depth: got 12, wanted 8 or 16"),
        (["--background", "300,0,0"], "--background: got 300,0,0, wanted R,G,B"),
        (["--shard", "2"], "--shard: got 2, wanted I/N"),
        (["--shard", "3/2"], "the share must lie in 1 to 2"),
        (["--name", "{name}"], "unknown field 'name'"),
        (["--format", "gif89"], "format: got 'gif89'"),
        (["--scale", "0"], "scale: got 0"),
        (["--size", "300"], "--size: got 300, wanted WxH"),
    ],
)
def test_upscaling_asked_wrongly(weights, pictures, tmp_path, options, words):
    assert_refused(["upscale", pictures, "-o", tmp_path / "out", "-w", weights, *options], words)
    assert not (tmp_path / "out").exists()


def test_methods_have_no_options_of_networks(pictures, tmp_path):
    arguments = ["upscale", pictures, "-o", tmp_path, "--method", "bicubic", "--scale", "2"]
    assert_refused([*arguments, "--self-ensemble"], "options of networks beside --method")
    assert_refused([*arguments, "--blend", "w.safetensors"], "--blend needs the weights")


def test_strength_is_that_of_a_blend(weights, pictures, tmp_path):
    arguments = ["upscale", pictures, "-o", tmp_path, "-w", weights]
    assert_refused([*arguments, "--strength", "0.3"], "--strength is that of --blend")


def test_a_job_goes_on_with_what_is_left(weights, tmp_path):
    folder = waves(tmp_path / "in", count=3, size=16)
    waves(folder / "deep", count=1, size=16)
    out = tmp_path / "out"
    job = ["upscale", folder, "-o", out, "-w", weights]
    code, output, _ = jaxsr(*job)
    assert code == 0 and "1 pictures lie in folders below; --recursive" in output
    assert table_of(output) == {"done": 3, "skipped": 0, "failed": 0}
    (out / "1.png").unlink()
    code, output, _ = jaxsr(*job, "--recursive")
    assert code == 0 and table_of(output) == {"done": 2, "skipped": 2, "failed": 0}
    assert (out / "deep" / "0.png").exists()
    assert table_of(jaxsr(*job, "--quality", "90")[1])["done"] == 3
    assert table_of(jaxsr(*job, "--quality", "90", "--overwrite")[1])["done"] == 3


def table_of(output):
    """{status: count} of the table that ends a job."""
    words = [line.replace("│", " ").split() for line in output.splitlines()]
    return {w[0]: int(w[1]) for w in words if len(w) == 2 and w[0] in ("done", "skipped", "failed")}


def test_machines_share_a_folder(weights, tmp_path):
    folder = waves(tmp_path / "in", count=6, size=16)
    made = []
    for share in ("1/2", "2/2"):
        out = tmp_path / share.replace("/", "of")
        assert jaxsr("upscale", folder, "-o", out, "-w", weights, "--shard", share)[0] == 0
        made += [path.name for path in out.glob("*.png")]
    assert sorted(made) == [f"{i}.png" for i in range(6)]


def test_a_large_tiff_goes_by_strips(weights, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxsr.imaging.strips.LARGE", 1000)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    write(tmp_path / "a.tif", Picture(pixels))
    code, output, errors = jaxsr(
        "upscale", tmp_path / "a.tif", "-o", tmp_path / "b.tif", "-w", weights
    )
    assert code == 0, errors
    wanted = upscale_tiled(load(weights), pixels)
    assert np.abs(read(tmp_path / "b.tif").pixels.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("kind", ["pages", "palette", "alpha", "png"])
def test_a_large_tiff_that_cannot_go_by_strips_is_taken_whole(weights, tmp_path, monkeypatch, kind):
    monkeypatch.setattr("jaxsr.imaging.strips.LARGE", 1000)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8))
    source, target = tmp_path / "a.tif", tmp_path / f"b.{'png' if kind == 'png' else 'tif'}"
    if kind == "pages":
        picture.save(source, save_all=True, append_images=[picture.rotate(90)])
    else:
        {"palette": picture.quantize(8), "alpha": picture.convert("RGBA")}.get(kind, picture).save(
            source
        )
    code, _, errors = jaxsr("upscale", source, "-o", target, "-w", weights)
    assert code == 0, errors
    with Image.open(target) as made:
        assert made.size == (60, 80)
        assert getattr(made, "n_frames", 1) == (2 if kind == "pages" else 1)
        assert made.mode == {"palette": "P", "alpha": "RGBA"}.get(kind, "RGB")


def test_names_that_are_no_text(weights, pictures, tmp_path):
    source = os.fsencode(tmp_path) + b"/\xff.png"
    with open(source, "wb") as file:
        file.write((pictures / "0.png").read_bytes())
    command = [sys.executable, "-c", "from jaxsr.cli import app; app()", "upscale"]
    command += [source, "-o", tmp_path / "out", "-w", weights]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONIOENCODING": "utf-8"}, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").glob("*.png"))) == 1


def test_programs_are_kept_for_the_next_time(weights, pictures, tmp_path):
    """Compiled programs go to the user's cache folder, or where JAX is told."""
    for variables, folder in (
        ({"XDG_CACHE_HOME": str(tmp_path / "user")}, tmp_path / "user" / "jaxsr" / "compiled"),
        ({"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "own")}, tmp_path / "own"),
    ):
        env = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")} | variables
        env |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, "-c", "from jaxsr.cli import app; app()", "upscale"]
        command += [pictures / "0.png", "-o", tmp_path / "a.png", "-w", weights]
        subprocess.run(command, env=env, check=True, capture_output=True)
        assert any(folder.iterdir())


@pytest.fixture(scope="module")
def restorer(config, tmp_path_factory):
    """A run at scale 1, of one step."""
    run = tmp_path_factory.mktemp("restorer") / "run"
    options = ["generator.scale=1", "degrade.kind=noise", "degrade.sigma=[20, 30]"]
    options += ["train.steps=1"]
    sets = [word for option in options for word in ("--set", option)]
    with jax.debug_key_reuse(False):
        assert jaxsr("train", config, "--run-dir", run, *sets)[0] == 0
    return run


def test_restoring_keeps_the_size_and_is_measured_on_degraded_pictures(
    restorer, pictures, tmp_path
):
    output = tmp_path / "clean.png"
    assert jaxsr("upscale", pictures / "0.png", "-o", output, "-w", restorer)[0] == 0
    with Image.open(output) as picture:
        assert picture.size == (48, 48)
    path = tmp_path / "figures.json"
    code, told, _ = jaxsr("evaluate", "-w", restorer, "--data", pictures, "--json", path)
    report = json.loads(path.read_text())
    assert code == 0 and list(report["methods"]) == ["degraded", "run"]
    assert "degraded by" in told and "'op': 'noise'" in told


def test_samples_are_a_grid_of_a_seed(weights, tmp_path):
    arch = DCGANGenerator(size=8, latent=3, num_features=2)
    path = tmp_path / "noise.safetensors"
    save_weights(path, init_weights(jax.random.key(0), arch))
    grids = []
    for seed, name in ((0, "a"), (0, "b"), (1, "c")):
        output = tmp_path / "deep" / f"{name}.png"
        assert jaxsr("sample", "-w", path, "-n", 5, "--seed", seed, "-o", output)[0] == 0
        grids.append(np.asarray(Image.open(output)))
    assert grids[0].shape == (18, 28, 3)
    assert np.array_equal(grids[0], grids[1]) and not np.array_equal(grids[0], grids[2])
    assert_refused(["sample", "-w", weights, "-o", tmp_path / "x.png"], "makes pictures of picture")


def test_explains_a_patch(weights, pictures, tmp_path):
    output = tmp_path / "why.png"
    command = ["explain", pictures / "0.png", "-w", weights, "-o", output, "--size", "4"]
    code, told, _ = jaxsr(*command, "--at", 40, 44)
    assert code == 0
    assert "the 4 x 4 pixels at (40, 44) depend on 8 x 8 input pixels, from (17, 19)" in told
    with Image.open(output) as picture:
        assert picture.size == (2 * 48 * 10, 48 * 10)
    assert "at (46, 46)" in jaxsr(*command)[1]  # the middle of 96 x 96
    assert_refused([*command, "--at", 94, 0], "wanted one inside the output of 96 x 96 pixels")


def test_evaluates_the_classical_methods_alone_and_networks_beside_them(
    weights, pictures, tmp_path
):
    figures = tmp_path / "deep" / "report.json"
    code, output, errors = jaxsr(
        "evaluate", "--data", pictures, "-w", weights, "--scale", "2", "--json", figures
    )
    assert code == 0, errors
    report = json.loads(figures.read_text(), parse_constant=pytest.fail)
    assert set(report) == {"dataset", "scale", "definition", "methods"}
    assert (report["dataset"], report["scale"]) == (str(pictures), 2)
    assert list(report["methods"]) == [
        *("nearest", "bilinear", "bicubic", "lanczos", "wiener", "toy"),
    ]
    metrics = {"psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb"}
    metrics |= {"shift_r", "shift_g", "shift_b", "consistency"}
    for result in report["methods"].values():
        assert set(result) == {"mean", "identical", "images", "seconds"}
        assert set(result["mean"]) == metrics
        assert set(result["images"]) == {f"{i}.png" for i in range(4)}
        for metric in metrics:
            values = [image[metric] for image in result["images"].values()]
            assert result["mean"][metric] == pytest.approx(np.mean(values))
    assert f"{report['methods']['toy']['mean']['psnr_y']:.3f}" in output
    code, output, _ = jaxsr("evaluate", "--data", pictures, "--scale", "2")
    assert code == 0 and "lanczos" in output and "toy" not in output


def test_units_of_bands_are_stated_where_no_network_states_them(tmp_path):
    folder, rng = tmp_path / "bands", np.random.default_rng(0)
    folder.mkdir()
    np.save(folder / "a.npy", rng.uniform(200, 300, (32, 32, 2)).astype(np.float32))
    asked = ("evaluate", "--data", folder, "--scale", "2")
    code, output, errors = jaxsr(*asked, "--ranges", "[[200, 300]]")
    assert code == 0 and "over 2 bands" in output, errors
    code, _, errors = jaxsr(*asked)
    assert code == 2 and "floats without ranges must lie in [0, 1]" in errors
    code, _, errors = jaxsr(*asked, "--ranges", "200:300")
    assert code == 2 and "--ranges: got 200:300" in errors


def test_an_infinite_figure_is_a_word(tmp_path):
    folder, figures = tmp_path / "grey", tmp_path / "report.json"
    folder.mkdir()
    Image.fromarray(np.full((32, 32, 3), 128, np.uint8)).save(folder / "flat.png")
    code, output, _ = jaxsr("evaluate", "--data", folder, "--scale", "2", "--json", figures)
    report = json.loads(figures.read_text(), parse_constant=pytest.fail)
    assert code == 0 and re.search(r"\binf\b", output)
    assert report["methods"]["bicubic"]["mean"]["psnr_y"] == "inf"


def test_evaluating_at_no_scale_or_another_is_refused(weights, pictures):
    assert_refused(["evaluate", "--data", pictures], "give --scale")
    assert_refused(
        ["evaluate", "--data", pictures, "-w", weights, "--scale", "4"], "toy 2, --scale 4"
    )


def test_version_and_help():
    assert jaxsr("--version") == (0, f"jaxsr {__version__}\n", "")
    code, output, _ = jaxsr("--help")
    commands = ("train", "degrade", "upscale", "evaluate")
    assert code == 0 and all(command in output for command in commands)
    assert jaxsr("train", "--help")[0] == 0
    assert jaxsr("no-such-command")[0] == 2

"""Two processes on loopback train as one."""

import os
import signal
import socket

import numpy as np
import pytest
from toy_run import (
    PIXEL,
    environment,
    finish,
    logged,
    merged,
    records,
    start,
    tensors,
    wait_for,
    waves,
    write_config,
)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distributed")
    tree = merged(PIXEL, {"optim": {"name": "sgd", "lr": 1e-2}, "eval": {"every": 3}})
    pictures = str(waves(folder / "pictures"))
    return write_config(folder / "toy.toml", tree, data={"train": pictures, "val": pictures})


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("compiled")


def begin_two(arguments, cache):
    """Two processes of two devices each."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{found.getsockname()[1]}"
    together = ["--distributed", "--coordinator", address, "--processes", "2"]
    env = environment(cache, devices=2)
    return [start([*arguments, *together, "--process-id", i], env) for i in range(2)]


def assert_near(run, other):
    """The sums of four devices are taken in another order; SGD hides no factor."""
    theirs = tensors(other / "weights" / "last.safetensors")
    for name, value in tensors(run / "weights" / "last.safetensors").items():
        np.testing.assert_allclose(value, theirs[name], rtol=0, atol=1e-6, err_msg=name)


@pytest.fixture(scope="module")
def alone(config, cache, tmp_path_factory):
    """The folder of a run of one process with four devices."""
    run = tmp_path_factory.mktemp("alone") / "run"
    ended = finish(start(["train", config, "--run-dir", run], environment(cache, devices=4)))
    assert ended[0] == 0, ended
    return run


def test_two_processes_train_as_one(config, cache, alone, tmp_path):
    run = tmp_path / "run"
    ended = [finish(p) for p in begin_two(["train", config, "--run-dir", run], cache)]
    assert [code for code, _, _ in ended] == [0, 0], ended
    assert_near(run, alone)
    for one, other in zip(records(run), records(alone), strict=True):
        assert one["g_loss"] == pytest.approx(other["g_loss"], rel=1e-5)
    for one, other in zip(records(run, "eval"), records(alone, "eval"), strict=True):
        assert one["psnr_y"] == pytest.approx(other["psnr_y"], abs=1e-3)
    # Process 0 alone writes and speaks.
    assert len(list((run / "tensorboard").iterdir())) == 1
    assert ended[0][1].count("training pictures") == 1 and not ended[1][1].count("step")


@pytest.mark.parametrize(
    ("sent", "codes"),
    [
        pytest.param(signal.SIGTERM, [143, 143], marks=pytest.mark.slow),
        # Which is handed on as SIGTERM.
        pytest.param(signal.SIGINT, [143, 130], marks=pytest.mark.slow),
    ],
)
def test_a_signal_stops_both_at_one_step_and_they_go_on(config, cache, tmp_path, sent, codes):
    run = tmp_path / "run"
    command = ["train", config, "--run-dir", run, "--set", "train.steps=3000"]
    command += ["--set", "train.save_every=5000", "--set", "eval.every=5000"]
    processes = begin_two(command, cache)
    wait_for(lambda: logged(run) > 5, processes[0])
    os.kill(processes[1].pid, sent)
    ended = [finish(p) for p in processes]
    assert [code for code, _, _ in ended] == codes, ended
    [saved] = (run / "checkpoints").iterdir()
    step = int(saved.name)
    assert 5 < step < 3000
    more = [*command, "--set", f"train.steps={step + 2}"]
    ended = [finish(p) for p in begin_two(more, cache)]
    assert [code for code, _, _ in ended] == [0, 0], ended
    assert f"step {step} of {step + 2}" in ended[0][1]
    assert [r["step"] for r in records(run)] == list(range(1, step + 3))

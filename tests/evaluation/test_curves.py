"""Curves against logs written by hand."""

import json

import numpy as np
import pytest

from jaxsr.evaluation.curves import curves, read_records, smoothed, stage_ends
from jaxsr.training.log import Log

# A pixel stage of 20 steps, then the game, in which step 33 is skipped.
LOG = """\
{"event": "start", "step": 0, "steps": 40}
{"event": "baseline", "step": 0, "method": "bicubic", "psnr_y": 28.5, "lpips_alex": 0.25, "identical": 0}
{"event": "step", "step": 10, "examples": "0-7", "seconds": 9.5, "g_grad_norm": 2.0, "g_loss": 0.5, "l1": 0.5, "lr": 0.25, "skipped": 0.0}
{"event": "unreadable", "step": 10, "path": "a.png", "reason": "it is empty"}
{"event": "step", "step": 20, "examples": "8-15", "seconds": 0.5, "g_grad_norm": 1.0, "g_loss": 0.25, "l1": 0.25, "lr": 0.25, "skipped": 0.0}
{"event": "eval", "step": 20, "psnr_y": 29.5, "lpips_alex": 0.125, "identical": 0}
{"event": "save", "step": 20}
{"event": "start", "step": 20, "steps": 40}
{"event": "step", "step": 30, "examples": "16-23", "seconds": 1.5, "d_fake": -1.5, "d_grad_norm": 4.0, "d_loss": 1.25, "d_lr": 0.0625, "d_real": 0.75, "g_adversarial": 2.5, "g_grad_norm": 3.0, "g_loss": 2.75, "l1": 0.25, "lr": 0.125, "pairwise_distance": 0.25, "pairwise_distance_real": 0.5, "perceptual": 3.5, "skipped": 0.0}
{"event": "step", "step": 33, "examples": "24-31", "seconds": 0.75, "d_fake": null, "d_grad_norm": null, "d_loss": null, "d_lr": 0.0625, "d_real": 0.5, "g_adversarial": null, "g_grad_norm": null, "g_loss": null, "l1": null, "lr": 0.125, "pairwise_distance": null, "pairwise_distance_real": 0.5, "penalty": 0.125, "perceptual": null, "skipped": 1.0}
{"event": "eval", "step": 40, "psnr_y": null, "lpips_alex": 0.0625, "identical": 3}
"""  # noqa: E501
RECORDS = [json.loads(line) for line in LOG.splitlines()]

# By title and label: steps and values.
EXPECTED = {
    "Generator loss": {"": ([10, 20, 30], [0.5, 0.25, 2.75])},
    "L1 loss": {"": ([10, 20, 30], [0.5, 0.25, 0.25])},
    "Adversarial loss": {"": ([30], [2.5])},
    "Perceptual loss": {"": ([30], [3.5])},
    "Discriminator loss": {"": ([30], [1.25])},
    "Gradient penalty": {"": ([33], [0.125])},
    "Discriminator": {"D(real)": ([30, 33], [0.75, 0.5]), "D(fake)": ([30], [-1.5])},
    "PSNR Y": {"bicubic": ([0], [28.5]), "network": ([20], [29.5])},
    "LPIPS alex": {"bicubic": ([0], [0.25]), "network": ([20, 40], [0.125, 0.0625])},
    "Distance of two pictures": {"made": ([30], [0.25]), "real": ([30, 33], [0.5, 0.5])},
    "Learning rate": {
        "generator": ([10, 20, 30, 33], [0.25, 0.25, 0.125, 0.125]),
        "discriminator": ([30, 33], [0.0625, 0.0625]),
    },
    "Gradient norm": {
        "generator": ([10, 20, 30], [2.0, 1.0, 3.0]),
        "discriminator": ([30], [4.0]),
    },
    "Time of a step": {"": ([10, 20, 30, 33], [9.5, 0.5, 1.5, 0.75])},
    "Steps skipped in a row": {"": ([10, 20, 30, 33], [0, 0, 0, 1])},
}


def plain(found):
    """Curves by the titles of their panels, as lists."""
    return {
        panel.title: {label: (s.tolist(), v.tolist()) for label, (s, v) in by_label.items()}
        for panel, by_label in found.items()
    }


def step(number, **fields):
    return {"event": "step", "step": number, **fields}


def test_the_curves_of_a_run():
    found = curves(RECORDS)
    assert plain(found) == EXPECTED
    assert list(plain(found)) == list(EXPECTED)
    units = {panel.title: panel.unit for panel in found}
    assert (units["PSNR Y"], units["Time of a step"], units["LPIPS alex"]) == ("dB", "s", "")


def test_a_run_that_never_skipped_has_no_curve_of_it():
    assert plain(curves([step(1, skipped=0.0)])) == {}


def test_of_two_records_of_a_step_the_later_counts():
    records = [step(2, l1=1.0), step(1, l1=2.0), step(2, l1=3.0)]
    assert plain(curves(records)) == {"L1 loss": {"": ([1, 2], [2.0, 3.0])}}


def test_a_log_that_is_being_written(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(LOG + LOG.splitlines()[-1])
    assert read_records(tmp_path) == RECORDS
    (tmp_path / "metrics.jsonl").write_text("")
    assert read_records(tmp_path) == []


def test_a_log_that_is_damaged_or_absent(tmp_path):
    with pytest.raises(ValueError, match="holds no metrics.jsonl; name a run"):
        read_records(tmp_path)
    (tmp_path / "metrics.jsonl").write_bytes(b'{"event": "save", "step": 1}\n\xff{\n{}\n')
    with pytest.raises(ValueError, match="metrics.jsonl, line 2 is damaged"):
        read_records(tmp_path)


def test_a_stage_ends_where_other_losses_follow():
    assert stage_ends(RECORDS) == [20]
    assert stage_ends(RECORDS[:7]) == []
    three = [step(1, l1=1.0), step(2, l1=1.0), step(4, l2=1.0), step(6, l2=1.0), step(7, l1=None)]
    assert stage_ends(three) == [2, 6]
    lazy = [step(1, d_loss=1.0), step(2, d_loss=1.0, penalty=0.5), step(3, d_loss=1.0)]
    assert stage_ends(lazy) == []


def test_smoothing_is_a_mean_of_falling_weights():
    values = np.random.default_rng(0).normal(size=7)
    means = [np.average(values[: n + 1], weights=0.75 ** np.arange(n, -1, -1)) for n in range(7)]
    np.testing.assert_allclose(smoothed(values, 0.75), means, rtol=1e-12)
    np.testing.assert_array_equal(smoothed(values, 0.0), values)
    assert smoothed(np.array([]), 0.75).shape == (0,)


def test_the_same_curves_stand_in_tensorboard(tmp_path):
    log = Log(tmp_path, step=0, every=1)
    log.write([dict(record) for record in RECORDS])
    log.close()
    assert plain(curves(read_records(tmp_path))) == EXPECTED
    (events,) = (tmp_path / "tensorboard").iterdir()
    content = events.read_bytes()
    fields = {f"{r['event']}/{name}" for r in RECORDS for name in r if isinstance(r[name], float)}
    assert {"step/d_lr", "step/seconds", "step/d_real", "eval/lpips_alex"} < fields
    assert {field for field in fields if field.encode() not in content} == set()

"""Jobs over files and folders, mostly by numpy's repeat."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from repeating import compact, repeat, repeating

from jaxsr import Weights
from jaxsr.imaging import files
from jaxsr.imaging.modes import convert
from jaxsr.inference import jobs, pipeline
from jaxsr.inference.enlarge import by_network
from jaxsr.inference.jobs import run_job, upscale_file
from jaxsr.inference.pipeline import Enlarged
from jaxsr.inference.plan import Plan, plan, shard


def paint(path, height=5, width=7, channels=3) -> np.ndarray:
    """Write a picture of noise; 2 and 4 channels hold alpha."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([*path.name.encode()])
    pixels = rng.integers(0, 256, (height, width, channels), np.uint8)
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(path)
    return pixels


def contents(folder: Path) -> dict[str, bytes]:
    """All that lies in a folder but manifests, hidden files too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".jsonl"
    }


def statuses(records) -> list[str]:
    return [record["status"] for record in records]


@pytest.fixture
def pictures(tmp_path):
    """Twelve pictures, of which three lie deeper, and a text."""
    for n in range(9):
        paint(tmp_path / "in" / f"{n}.png", width=7 + n // 4)
    for n in range(3):
        paint(tmp_path / "in" / "deep" / f"{n}.png")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    return tmp_path / "in"


@pytest.fixture
def job(pictures, tmp_path) -> Plan:
    return plan([pictures], tmp_path / "out", recursive=True)


def test_each_picture_is_enlarged_and_recorded(job):
    def noting(pixels):
        return Enlarged(repeat(pixels), ("made again in float32",))

    records = list(run_job(noting, job))
    assert [(r["input"], r["output"]) for r in records] == [
        (str(item.source), str(item.target)) for item in job.items
    ]
    for record, item in zip(records, job.items, strict=True):
        pixels = files.read(item.source).pixels
        np.testing.assert_array_equal(files.read(item.target).pixels, repeat(pixels))
        assert (record["status"], record["error"]) == ("done", None)
        assert record["notes"] == ["made again in float32"] and record["seconds"] > 0
        height, width, _ = pixels.shape
        assert record["input_pixels"] == height * width
        assert record["output_pixels"] == 4 * height * width


def test_seconds_are_those_of_the_picture_itself(job):
    """The device takes 0.1 s for each of twelve; nobody's record holds the others'."""

    def slow(pixels):
        time.sleep(0.1)
        return repeat(pixels)

    records = list(run_job(slow, job))
    assert all(0.1 <= record["seconds"] < 0.8 for record in records)


def test_what_is_done_is_skipped(job, pictures):
    assert statuses(run_job(repeat, job, digest="a")) == ["done"] * 12
    before = contents(job.manifest.parent)
    records = list(run_job(repeat, job, digest="a"))
    assert statuses(records) == ["skipped"] * 12
    assert all(r["seconds"] == r["input_pixels"] == r["output_pixels"] == 0 for r in records)
    os.remove(job.items[3].target)
    paint(job.items[5].source, 6, 6)
    wanted = ["skipped"] * 3 + ["done", "skipped", "done"] + ["skipped"] * 6
    assert statuses(run_job(repeat, job, digest="a")) == wanted
    assert files.read(job.items[5].target).pixels.shape == (12, 12, 3)
    after = contents(job.manifest.parent)
    assert [name for name in before if before[name] != after[name]] == [job.items[5].name]
    assert statuses(run_job(repeat, job, digest="b")) == ["done"] * 12
    assert statuses(run_job(repeat, job, digest="b", fresh=True)) == ["done"] * 12
    assert statuses(run_job(repeat, job, digest="b")) == ["skipped"] * 12


def test_a_single_file_is_made_each_time_and_leaves_no_manifest(pictures, tmp_path):
    one = plan([pictures / "0.png"], tmp_path / "big.png")
    for _ in range(2):
        assert statuses(run_job(repeat, one)) == ["done"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["big.png", "in"]


def test_a_damaged_picture_is_reported_tried_again_and_the_others_go_on(job):
    bad = job.items[1].source
    whole = bad.read_bytes()
    bad.write_bytes(whole[:60])
    job.items[2].source.unlink()
    for _ in range(2):
        records = list(run_job(repeat, job))
        assert [r["status"] == "failed" for r in records] == [False, True, True] + [False] * 9
        for record, words in zip(records[1:3], ("not a readable picture", "No such"), strict=True):
            assert record["input"] in record["error"] and words in record["error"]
            assert "\n" not in record["error"]
        made = {item.name for item in [job.items[0], *job.items[3:]]}
        assert contents(job.manifest.parent).keys() == made
    bad.write_bytes(whole)
    assert statuses(run_job(repeat, job))[1] == "done"


def test_a_failure_to_write_leaves_what_was_there(pictures, tmp_path):
    """JPEG holds no alpha: refused before a byte is written."""
    target = tmp_path / "out.jpg"
    target.write_bytes(b"precious")
    paint(pictures / "alpha.png", channels=4)
    (record,) = run_job(repeat, plan([pictures / "alpha.png"], target))
    assert record["status"] == "failed" and "alpha" in record["error"]
    assert target.read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.jpg"]


def test_a_full_disk_fails_one_picture_and_leaves_no_part(job):
    def cramped(source, target, enlarge):
        if source == job.items[4].source:
            with files.replacing(target) as temporary:
                temporary.write_bytes(b"half")
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(temporary))
        upscale_file(source, target, enlarge)

    records = list(run_job(repeat, job, make=cramped))
    assert statuses(records) == ["done"] * 4 + ["failed"] + ["done"] * 7
    item = job.items[4]
    assert records[4]["error"] == f"{item.source} -> {item.target}: No space left on device"
    assert contents(job.manifest.parent).keys() == {i.name for i in job.items} - {item.name}
    assert statuses(run_job(repeat, job)) == ["skipped"] * 4 + ["done"] + ["skipped"] * 7
    # The same where an older output stays in its place.
    assert statuses(run_job(repeat, job, digest="b", make=cramped)).count("failed") == 1
    assert contents(job.manifest.parent).keys() == {item.name for item in job.items}
    assert statuses(run_job(repeat, job, digest="b"))[4] == "done"


def test_a_manifest_that_cannot_grow_is_said(job, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(jobs.Manifest, "append", full)
    records = list(run_job(repeat, job))
    assert statuses(records) == ["failed"] * 12 and "No space left" in records[0]["error"]


def test_places_that_cannot_be_written_to(job, pictures, tmp_path):
    """A folder in the way of one output fails it alone; an output below a file fails the job."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "deep").write_text("in the way")
    records = list(run_job(repeat, job))
    assert [r["status"] for r in records if "deep" in r["output"]] == ["failed"] * 3
    assert statuses(records).count("done") == 9 and "deep/2.png: " in records[-1]["error"]
    with pytest.raises(ValueError, match="notes.txt/out cannot be written to"):
        list(run_job(repeat, plan([pictures], pictures / "notes.txt" / "out")))


def test_what_the_network_refuses_names_the_picture(job):
    (record, *_) = run_job(by_network(repeating(channels=4)), job)
    assert (
        "wanted [..., H, W, 4]" in record["error"] and str(job.items[0].source) in record["error"]
    )
    np.save(job.items[0].source.with_name("hot.npy"), np.full((4, 5, 3), 300, np.float32))
    hot = plan([job.items[0].source.with_name("hot.npy")], job.manifest.parent)
    (record,) = run_job(by_network(repeating()), hot)
    assert "hot.npy" in record["error"] and "data.ranges = [[300, 301]" in record["error"]
    assert contents(job.manifest.parent) == {}


def test_a_real_network_gives_the_same_bytes_in_a_batch_and_alone(job, tmp_path):
    """Also where another has been in the batch with it."""
    arch = compact()
    params = arch.init(jax.random.key(0), jnp.zeros((1, 5, 7, 3)))["params"]
    network = by_network(Weights(params, {}, arch))
    shapes = []

    def watched(pixels):
        shapes.append(pixels.shape)
        time.sleep(0.05)  # for the others to come up
        return network(pixels)

    assert statuses(run_job(watched, job, batch=4)) == ["done"] * 12
    assert {len(shape) for shape in shapes} == {4} and len(shapes) < 12
    together = contents(tmp_path / "out")
    assert statuses(run_job(network, job, fresh=True, batch=1)) == ["done"] * 12
    assert contents(tmp_path / "out") == together
    for i in (1, 2):
        share = shard(plan([tmp_path / "in"], tmp_path / "shared", recursive=True), i, 2)
        assert {*statuses(run_job(network, share, batch=4))} == {"done"}
    assert contents(tmp_path / "shared") == together
    assert len([*(tmp_path / "shared").glob("jaxsr-manifest.?-of-2.jsonl")]) == 2


def test_shares_skip_what_another_division_has_done(job):
    list(run_job(repeat, shard(job, 1, 3)))
    done = {item.target for item in shard(job, 1, 3).items}
    records = list(run_job(repeat, job))
    assert {Path(r["output"]) for r in records if r["status"] == "skipped"} == done


def test_the_end_leaves_no_part_and_no_thread(job, monkeypatch):
    """The first is out when two are half-written; the others have not begun."""
    monkeypatch.setattr(pipeline, "PICTURES", 3)
    begun = threading.Event()

    def slow(source, target, enlarge):
        pixels = enlarge(files.read(source).pixels)
        with files.replacing(target) as temporary:
            temporary.write_bytes(b"half")
            if source == job.items[0].source:
                assert begun.wait(10)
            else:
                begun.set()
                time.sleep(0.3)
            temporary.write_bytes(pixels.tobytes())

    records = run_job(repeat, job, make=slow)
    assert next(records)["status"] == "done"
    records.close()
    assert not any("jaxsr" in thread.name for thread in threading.enumerate())
    left = contents(job.manifest.parent)
    assert {item.name for item in job.items[:2]} <= left.keys() < {i.name for i in job.items}
    assert b"half" not in left.values()
    again = run_job(repeat, job, make=slow)
    made = {Path(r["output"]) for r in again if r["status"] == "done"}
    assert made == {item.target for item in job.items if item.name not in left}


KILLED = """
    import sys, time
    from pathlib import Path
    from jaxsr.imaging import files
    from jaxsr.inference.jobs import run_job, upscale_file
    from jaxsr.inference.plan import plan

    def make(source, target, enlarge):
        if source.name == "5.png":
            with files.replacing(target) as temporary:
                temporary.write_bytes(b"half")
                time.sleep(60)
        if source.name == "3.png":
            time.sleep(60)
        upscale_file(source, target, enlarge)

    job = plan([sys.argv[1]], Path(sys.argv[2]), recursive=True)
    for _ in run_job(lambda p: p.repeat(2, -3).repeat(2, -2), job, make=make, digest="d"):
        pass
"""


def test_a_killed_job_goes_on_with_the_same_outputs(job, pictures, tmp_path):
    """Killed with one half-written, one unread and a line of the manifest torn."""
    out = job.manifest.parent
    script = [sys.executable, "-c", textwrap.dedent(KILLED), str(pictures), str(out)]
    process = subprocess.Popen(script)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        lines = job.manifest.read_bytes().count(b"\n") if job.manifest.exists() else 0
        if lines == 10 and any(".part" in name for name in contents(out)):
            break
        time.sleep(0.02)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = {path: path.stat().st_mtime_ns for path in out.rglob("[!.]*.png")}
    assert len(killed) == 10
    torn = job.manifest.read_bytes().splitlines(keepends=True)
    job.manifest.write_bytes(b"".join(torn[:-1]) + torn[-1][:-20])

    records = list(run_job(repeat, job, digest="d"))
    assert statuses(records).count("done") == 3 and statuses(records).count("skipped") == 9
    kept = [path for path in killed if path.stat().st_mtime_ns == killed[path]]
    assert len(kept) == 9
    whole = plan([pictures], tmp_path / "whole", recursive=True)
    assert statuses(run_job(repeat, whole)) == ["done"] * 12
    assert contents(out) == contents(tmp_path / "whole")
    assert statuses(run_job(repeat, job, digest="d")) == ["skipped"] * 12


def test_the_parts_of_others_stay(job):
    """Only what a killed job left of these outputs is removed."""
    out = job.manifest.parent
    out.mkdir()
    for name in (".0.png.77.part", ".other.png.77.part", ".0.png.part", "0.png.77.part"):
        (out / name).touch()
    list(run_job(repeat, job))
    left = {name for name in contents(out) if name.endswith(".part")}
    assert left == {".other.png.77.part", ".0.png.part", "0.png.77.part"}


def test_a_job_in_place_can_be_repeated(pictures):
    """Its outputs, beside its inputs, do not become inputs."""
    before = contents(pictures)
    for status in ("done", "skipped"):
        job = plan([pictures], pictures, name="{stem}_x{scale}", scale=2, recursive=True)
        assert statuses(run_job(repeat, job)) == [status] * 12
    after = contents(pictures)
    assert len(after) == len(before) + 12 and before.items() <= after.items()


def test_every_frame_of_an_animation_is_enlarged_and_counted(tmp_path):
    frames = [Image.fromarray(paint(tmp_path / f"{n}.png")) for n in range(3)]
    options = {"save_all": True, "append_images": frames[1:], "duration": [40, 70, 200], "loop": 3}
    (tmp_path / "in").mkdir()
    frames[0].save(tmp_path / "in" / "moving.png", **options)
    (record,) = run_job(repeat, plan([tmp_path / "in"], tmp_path / "out"))
    assert (record["input_pixels"], record["output_pixels"]) == (3 * 35, 3 * 140)
    with Image.open(tmp_path / "out" / "moving.png") as made:
        assert made.info["loop"] == 3
        for n, milliseconds in enumerate(options["duration"]):
            made.seek(n)
            assert made.info["duration"] == milliseconds
            np.testing.assert_array_equal(np.asarray(made), repeat(np.asarray(frames[n])))


def test_what_is_asked_for_comes_before(tmp_path):
    """Alpha laid on a background, so that JPEG holds it; and grey through a network of RGB."""
    pixels = np.full((8, 8, 2), (77, 0), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    job = plan([tmp_path / "clear.png"], tmp_path / "big.jpg")
    on_white = partial(convert, background=(255, 255, 255))
    shapes = []

    def watched(pixels):
        shapes.append(pixels.shape)
        return repeat(pixels)

    make = partial(upscale_file, channels=3, prepare=on_white, quality=100)
    (record,) = run_job(watched, job, make=make)
    assert record["error"] is None and shapes == [(8, 8, 3)]
    assert (files.read(tmp_path / "big.jpg").pixels == 255).all()


def test_what_is_in_flight_counts_all_frames(tmp_path, monkeypatch):
    """Two animations of three frames of 64 pixels are more than 300 at once."""
    monkeypatch.setattr(pipeline, "PIXELS", 300)
    frames = [Image.fromarray(paint(tmp_path / f"{n}.png", 8, 8)) for n in range(3)]
    for name in ("a", "b"):
        target = tmp_path / "in" / f"{name}.png"
        target.parent.mkdir(exist_ok=True)
        frames[0].save(target, save_all=True, append_images=frames[1:])
    now, peak, lock = [0], [0], threading.Lock()

    def counting(*files_and_enlarge):
        with lock:
            now[0] += 1
            peak[0] = max(peak[0], now[0])
        time.sleep(0.05)
        upscale_file(*files_and_enlarge)
        with lock:
            now[0] -= 1

    records = run_job(repeat, plan([tmp_path / "in"], tmp_path / "out"), make=counting)
    assert statuses(records) == ["done"] * 2
    assert peak[0] == 1

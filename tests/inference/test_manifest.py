"""The manifest: what counts as done, and lines that a killed process left."""

import json
import os

import pytest

from jaxsr.inference import manifest as manifest_module
from jaxsr.inference.manifest import Manifest, made_here, manifest_path, stamp


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"one")
    return path


def record(path, name, source, *, digest="d", **fields):
    manifest = Manifest(path, digest)
    manifest.append(name, stamp(source), **({"status": "done"} | fields))
    manifest.close()


def holds(path, name, source, digest="d") -> bool:
    manifest = Manifest(path, digest)
    manifest.close()
    return manifest.holds(name, stamp(source))


def test_done_is_what_has_the_same_input_and_digest(source, tmp_path):
    path = manifest_path(tmp_path / "out")
    record(path, "a.png", source)
    assert holds(path, "a.png", source)
    assert not holds(path, "a.png", source, digest="other")
    assert not holds(path, "b.png", source)
    copy = tmp_path / "copy.png"
    copy.write_bytes(b"one")
    os.utime(copy, ns=(0, source.stat().st_mtime_ns))
    assert not holds(path, "a.png", copy)
    before = source.stat().st_mtime_ns
    os.utime(source, ns=(0, before + 1))
    assert not holds(path, "a.png", source)
    source.write_bytes(b"longer")
    os.utime(source, ns=(0, before))
    assert not holds(path, "a.png", source)


def test_the_latest_line_of_all_shares_counts(source, tmp_path):
    whole, share = manifest_path(tmp_path), manifest_path(tmp_path, shard=(2, 8))
    assert (whole.name, share.name) == ("jaxsr-manifest.jsonl", "jaxsr-manifest.2-of-8.jsonl")
    record(share, "a.png", source)
    assert holds(whole, "a.png", source)
    record(whole, "a.png", source, digest="other")
    assert not holds(share, "a.png", source)
    record(share, "a.png", source)
    record(whole, "a.png", source, status="failed")
    assert not holds(share, "a.png", source)
    assert {*made_here(tmp_path)} == {("a.png", str(source))}


def test_a_line_is_whole_or_does_not_count(source, tmp_path):
    """A line cut anywhere is passed by, and what comes after it stands on a line of its own."""
    path = manifest_path(tmp_path)
    record(path, "a.png", source, note="ä")
    whole = path.read_bytes()
    assert whole.endswith(b"}\n") and whole.count(b"\n") == 1
    for cut in (1, 10, len(whole) - 2):
        path.write_bytes(whole[:cut])
        assert not holds(path, "a.png", source)
        record(path, "b.png", source)
        assert holds(path, "b.png", source) and not holds(path, "a.png", source)
    path.write_bytes(whole[:-1])  # only the newline is missing
    record(path, "b.png", source)
    assert holds(path, "b.png", source) and holds(path, "a.png", source)
    path.write_bytes(b'[1]\n{"output": 3}\n' + whole)
    assert holds(path, "a.png", source)


def test_a_full_disk_is_an_error_and_the_next_line_is_whole(source, tmp_path):
    class Full:
        """A file that takes ten bytes of one line."""

        def __init__(self, file):
            self._file, self._full = file, True

        def write(self, data):
            data, self._full = (data[:10], False) if self._full else (data, False)
            return self._file.write(data)

        def close(self):
            self._file.close()

    path = manifest_path(tmp_path)
    manifest = Manifest(path, "d")
    manifest._file = Full(manifest._file)
    with pytest.raises(OSError, match="No space left"):
        manifest.append("a.png", stamp(source), status="done")
    manifest.append("b.png", stamp(source), status="done")
    manifest.close()
    assert holds(path, "b.png", source) and not holds(path, "a.png", source)


def test_a_line_says_what_the_module_says(source, tmp_path):
    record(manifest_path(tmp_path), "deep/a.png", source, seconds=1.5, error=None)
    (line,) = map(json.loads, manifest_path(tmp_path).read_text().splitlines())
    documented = manifest_module.__doc__ or ""
    assert all(key in documented for key in line)
    assert line["input"] == str(source) and line["output"] == "deep/a.png" and line["bytes"] == 3
    assert (line["digest"], line["status"], line["seconds"]) == ("d", "done", 1.5)


def test_a_folder_that_cannot_be_is_refused_by_name(source):
    with pytest.raises(ValueError, match=r"a.png/out cannot be written to \(Not a directory\)"):
        Manifest(manifest_path(source / "out"), "d")


def test_a_vanished_input_is_not_done(source, tmp_path):
    record(manifest_path(tmp_path), "a.png", source)
    source.unlink()
    assert not holds(manifest_path(tmp_path), "a.png", source)

"""Where outputs go; no pixel is looked at, so the pictures are empty files."""

import os
from pathlib import Path

import pytest

from jaxsr.inference.manifest import Manifest, manifest_path, stamp
from jaxsr.inference.plan import Item, Plan, plan, shard


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def record(folder: Path, name: str, source: Path, status: str) -> None:
    manifest = Manifest(manifest_path(folder), "")
    manifest.append(name, stamp(source), status=status)
    manifest.close()


def targets(job: Plan) -> list[str]:
    return [item.name for item in job.items]


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "in"
    touch(folder / "a.png", folder / "deep" / "b.png", folder / "notes.txt")
    return folder


def test_a_file_goes_to_a_file_or_into_a_folder(pictures, tmp_path):
    one, out = pictures / "a.png", tmp_path / "out"
    big = Item(one, tmp_path / "big.png", "big.png")
    assert plan([one], tmp_path / "big.png") == Plan([big], None, 0)
    inside = Item(one, out / "a.png", "a.png")
    assert plan([one], out) == Plan([inside], out / "jaxsr-manifest.jsonl", 0)
    (tmp_path / "dotted.png").mkdir()
    assert plan([one], tmp_path / "dotted.png").items[0].target == tmp_path / "dotted.png/a.png"


def test_folders_keep_their_structure(pictures, tmp_path):
    out, other = tmp_path / "out", tmp_path / "c.png"
    touch(other)
    assert plan([pictures, other], out, recursive=True).items == [
        Item(pictures / "a.png", out / "a.png", "a.png"),
        Item(pictures / "deep" / "b.png", out / "deep" / "b.png", "deep/b.png"),
        Item(other, out / "c.png", "c.png"),
    ]


def test_without_recursive_only_what_lies_right_in_a_folder(pictures, tmp_path):
    touch(pictures / "deep" / "er" / "c.png")
    job = plan([pictures], tmp_path / "out")
    assert (targets(job), job.deeper) == (["a.png"], 2)
    job = plan([pictures, pictures / "deep"], tmp_path / "out")
    assert (targets(job), job.deeper) == (["a.png", "b.png"], 1)
    job = plan([f"{pictures}/*/*.png"], tmp_path / "out")
    assert (targets(job), job.deeper) == (["deep/b.png"], 0)
    os.remove(pictures / "a.png")
    with pytest.raises(ValueError, match="no picture itself, but 2 in folders below"):
        plan([pictures], tmp_path / "out")


def test_names_follow_the_pattern_and_the_format(pictures, tmp_path):
    def names(**options):
        return targets(plan([pictures], tmp_path / "out", recursive=True, **options))

    assert names(name="{stem}_x{scale}", scale=4) == ["a_x4.png", "deep/b_x4.png"]
    assert names(name="{stem}_x{scale}", scale=2.5)[0] == "a_x2.5.png"
    assert names(name="{ext}-{stem}", format="JPG") == ["png-a.jpg", "deep/png-b.jpg"]
    touch(pictures / "a.b.jpeg")
    assert names(format="webp") == ["a.b.webp", "a.webp", "deep/b.webp"]


@pytest.mark.parametrize(
    "options, words",
    [
        ({"name": "{stm}_x4"}, "unknown field 'stm', wanted .*{stem}, {ext} in it"),
        ({"name": "{stem}_x{scale}"}, "unknown field 'scale'"),
        ({"name": "{stem!r}"}, "unknown field 'stem'"),
        ({"name": "{stem:>9}"}, "unknown field 'stem'"),
        ({"name": "{stem.parent}"}, "unknown field 'stem.parent'"),
        ({"name": "{}"}, "unknown field ''"),
        ({"name": "{stem"}, "expected '}'"),
        ({"name": "../{stem}"}, "no path"),
        ({"name": "big/{stem}"}, "no path"),
        ({"name": ".{stem}"}, "not hidden"),
        ({"name": ""}, "wanted a file name"),
        ({"name": "all"}, "would both become"),
        ({"format": "gif3"}, "format: got 'gif3', wanted one of png, "),
    ],
)
def test_what_names_cannot_be_is_refused(pictures, tmp_path, options, words):
    touch(pictures / "z.png")
    with pytest.raises(ValueError, match=words):
        plan([pictures], tmp_path / "out", **options)


def test_what_cannot_be_planned_is_refused(pictures, tmp_path):
    touch(tmp_path / "other" / "a.png")
    (tmp_path / "empty").mkdir()
    one, text = pictures / "a.png", pictures / "notes.txt"
    refused = [
        ([one, tmp_path / "other" / "a.png"], tmp_path / "out", "would both become"),
        ([pictures, tmp_path / "other"], tmp_path / "out", "would both become"),
        ([one], one, "would overwrite an input"),
        ([one], pictures, "would overwrite an input"),
        ([pictures], tmp_path / "other" / ".." / "in", "would overwrite an input"),
        ([tmp_path / "missing.png"], tmp_path / "out", "neither a file nor a folder"),
        ([tmp_path / "empty"], tmp_path / "out", "holds no picture"),
        ([one], tmp_path / "a.jpgg", "no known extension; use one of .png"),
        ([one, pictures / "deep"], text, "is a file or named like one"),
        ([pictures], tmp_path / "all.png", "all.png is a file or named like one"),
    ]
    for inputs, output, words in refused:
        with pytest.raises(ValueError, match=words):
            plan(inputs, output)
    with pytest.raises(ValueError, match="not named .jpg, the format asked for"):
        plan([one], tmp_path / "big.png", format="jpg")
    with pytest.raises(ValueError, match="leaves no place for '{stem}_x4'"):
        plan([one], tmp_path / "big.png", name="{stem}_x4")


def test_an_input_is_known_under_its_other_name(pictures, tmp_path):
    """As on a file system without case, where a.PNG and a.png are one file."""
    (tmp_path / "out").mkdir()
    os.link(pictures / "a.png", tmp_path / "out" / "a.png")
    with pytest.raises(ValueError, match="would overwrite an input"):
        plan([pictures], tmp_path / "out")


def test_what_was_made_here_is_no_input(pictures, tmp_path):
    """In place with a pattern, and into a folder below the inputs; unless it is named alone."""
    for output in (pictures, pictures / "out"):
        job = plan([pictures], output, name="{stem}_x4", recursive=True)
        for item in job.items:
            record(output, item.name, item.source, "done")
            touch(item.target)
        assert plan([pictures], output, name="{stem}_x4", recursive=True) == job
    again = plan([pictures / "a_x4.png"], pictures, name="{stem}_x4")
    assert targets(again) == ["a_x4_x4.png"]
    touch(pictures / "c.png", pictures / "c_x4.png")  # nobody made it: it is an input
    record(pictures, "c_x4.png", pictures / "c.png", "failed")
    with pytest.raises(ValueError, match="c_x4.png would overwrite an input"):
        plan([pictures], pictures, name="{stem}_x4")


def test_shards_divide_a_job_by_name_alone(tmp_path):
    paths = [tmp_path / "in" / f"{n // 10}" / f"{n}.png" for n in range(200)]
    touch(*paths)
    job = plan([tmp_path / "in"], tmp_path / "out", recursive=True)
    shares = [shard(job, i, 8) for i in range(1, 9)]
    together = [item for share in shares for item in share.items]
    assert len(together) == 200 and set(together) == set(job.items)
    assert all(10 <= len(share.items) <= 45 for share in shares)  # 25 with sigma 4.7
    assert shares[1].manifest == tmp_path / "out" / "jaxsr-manifest.2-of-8.jsonl"
    assert shard(job, 1, 1).items == job.items
    touch(tmp_path / "in" / "0" / "added.png")
    later = shard(plan([tmp_path / "in"], tmp_path / "elsewhere", recursive=True), 2, 8)
    assert {*targets(shares[1])} == {*targets(later)} - {"0/added.png"}


def test_shards_that_do_not_exist_are_refused(pictures, tmp_path):
    job = plan([pictures], tmp_path / "out")
    for i, n in ((0, 8), (9, 8), (1, 0), (-1, 8)):
        with pytest.raises(ValueError, match=f"shard {i}/{n}: the share must lie in 1 to {n}"):
            shard(job, i, n)
    with pytest.raises(ValueError, match="one picture cannot be split"):
        shard(plan([pictures / "a.png"], tmp_path / "big.png"), 1, 2)


def test_a_folder_named_like_a_glob_is_a_folder(pictures, tmp_path):
    folder = pictures.rename(tmp_path / "photos [2024]")
    job = plan([folder], tmp_path / "out")
    assert job.deeper and all("/" not in item.name for item in job.items)

"""What is drawn of logs written by hand, and the files."""

import json
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from jaxsr.commands.plot import plot
from jaxsr.evaluation.curves import smoothed
from jaxsr.evaluation.plot import draw, plot_runs

matplotlib = pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
from matplotlib.colors import to_hex  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

# To ask for the backend is to choose one.
SETTINGS = {name: matplotlib.rcParams[name] for name in matplotlib.rcParams.keys() - {"backend"}}
GREY = "#777777"
NASTY = "_$x$ <&> b"


def step(number, **fields):
    return {"event": "step", "step": number, **fields}


def pixel(*losses, rate=0.5):
    """The records of a run by one loss, every tenth step."""
    return [step(10 * i, g_loss=v, l1=v, lr=rate) for i, v in enumerate(losses, 1)]


def game(*losses):
    """Those of a run that plays a game after step 20, beside bicubic."""
    after = [
        step(20 + 10 * i, g_loss=v, l1=v / 2, lr=0.5, d_lr=0.25, d_real=v, d_fake=-v)
        for i, v in enumerate(losses, 1)
    ]
    evals = [
        {"event": "baseline", "step": 0, "method": "bicubic", "psnr_y": 28.5},
        {"event": "eval", "step": 20, "psnr_y": 29.5},
        {"event": "eval", "step": 40, "psnr_y": 27.5},
    ]
    return [*evals, *pixel(0.5, 0.25), *after]


def write(run, records):
    run.mkdir(parents=True)
    (run / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return run


def by_title(figure):
    return {axes.get_title("left"): axes for axes in figure.axes}


def lines(axes):
    """(colour, x, y) of each line of a panel, in the order of drawing."""
    return [
        (to_hex(line.get_color()).upper(), *map(list, line.get_data())) for line in axes.get_lines()
    ]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_panel_for_each_quantity_and_a_line_for_each_run():
    figure = draw({"a": pixel(3.0, 1.0), "b": game(2.0, 4.0), "c": pixel(5.0, 6.0)}, smooth=0)
    panels = by_title(figure)
    assert list(panels) == ["Generator loss", "L1 loss", "Discriminator", "PSNR Y", "Learning rate"]
    counts = {title: len(axes.get_lines()) for title, axes in panels.items()}
    # In each there is a line for the end of b's first stage, in PSNR one for bicubic.
    assert list(counts.values()) == [1 + 3, 1 + 3, 1 + 2, 1 + 2, 1 + 3 + 1]
    assert lines(panels["Generator loss"])[1:] == [
        ("#0072B2", [10, 20], [3.0, 1.0]),
        ("#D55E00", [10, 20, 30, 40], [0.5, 0.25, 2.0, 4.0]),
        ("#009E73", [10, 20], [5.0, 6.0]),
    ]
    assert lines(panels["Discriminator"])[1:] == [
        ("#D55E00", [30, 40], [2.0, 4.0]),
        ("#D55E00", [30, 40], [-2.0, -4.0]),
    ]
    assert [text.get_text() for text in panels["Discriminator"].get_legend().get_texts()] == [
        *("D(real)", "D(fake)")
    ]
    assert panels["Generator loss"].get_legend() is None
    assert panels["PSNR Y"].get_ylabel() == "dB"
    assert {axes.get_xlim()[0] for axes in figure.axes} == {0}
    assert figure.get_supxlabel() == "step"
    assert legend(figure) == ["a", "b", "c", "bicubic", "end of a stage"]


def test_real_and_fake_differ_in_their_dashes():
    real, fake = by_title(draw({"a": game(2.0)[5:]}, smooth=0))["Discriminator"].get_lines()
    assert (real.is_dashed(), fake.is_dashed()) == (False, True)


def test_bicubic_and_the_end_of_a_stage_are_grey_where_all_runs_share_them():
    axes = by_title(draw({"a": game(2.0), "b": game(3.0)}, smooth=0))["PSNR Y"]
    assert lines(axes)[:2] == [(GREY, [20, 20], [0, 1]), (GREY, [0, 1], [28.5, 28.5])]
    other = [{**r, "psnr_y": 20.0} if r["event"] == "baseline" else r for r in pixel(1.0) + game()]
    axes = by_title(draw({"a": game(2.0), "b": other}, smooth=0))["PSNR Y"]
    assert lines(axes)[:3] == [
        ("#0072B2", [20, 20], [0, 1]),
        ("#0072B2", [0, 1], [28.5, 28.5]),
        ("#D55E00", [0, 1], [20.0, 20.0]),
    ]


def test_a_term_that_is_the_whole_loss_of_all_runs_is_not_shown():
    alone, weighed = pixel(3.0, 2.0), [step(10, g_loss=1.0, l1=4.0)]
    assert list(by_title(draw({"a": alone}, smooth=0))) == ["Generator loss", "Learning rate"]
    other = [step(10, g_loss=1.0)]
    assert list(by_title(draw({"a": alone, "b": other}, smooth=0)))[1:] == ["Learning rate"]
    assert "L1 loss" in by_title(draw({"a": alone, "b": weighed}, smooth=0))


def test_means_stand_before_the_faint_values_and_begin_anew_with_a_stage():
    faint, mean = by_title(draw({"a": game(2.0, 4.0, 3.0)}, smooth=0.75))[
        "Discriminator"
    ].get_lines()[1:3]
    assert list(faint.get_ydata()) == [2.0, 4.0, 3.0] and faint.get_alpha() < 0.5
    np.testing.assert_allclose(mean.get_ydata(), smoothed(np.array([2.0, 4.0, 3.0]), 0.75))
    rates = by_title(draw({"a": game(2.0, 4.0)}, smooth=0.75))["Learning rate"]
    assert len(rates.get_lines()) == 1 + 2  # which no batch moves

    # On a logarithmic axis it is the mean of the logarithms, here to the base of 2.
    axes = by_title(draw({"a": pixel(8.0, 1.0, 0.125)}, smooth=0.5))["Generator loss"]
    mean = axes.get_lines()[1].get_ydata()
    np.testing.assert_allclose(np.log2(mean), [3, 1, -9 / 7])
    mean = by_title(draw({"a": game(8.0, 0.5)}, smooth=0.5))["Generator loss"].get_lines()[2]
    np.testing.assert_allclose(np.log2(mean.get_ydata()), [-1, -5 / 3, 3, 1 / 3])


def test_only_what_is_positive_and_spans_decades_has_a_logarithmic_axis():
    panels = by_title(draw({"a": game(9.0, 200.0)}, smooth=0))
    assert {title: axes.get_yscale() for title, axes in panels.items()} == {
        "Generator loss": "log",
        "L1 loss": "log",
        "Discriminator": "linear",
        "PSNR Y": "linear",
        "Learning rate": "linear",
    }
    for values in ((1.0, 9.0), (-1.0, 100.0)):
        axes = by_title(draw({"a": pixel(*values)}, smooth=0.5))["Generator loss"]
        assert axes.get_yscale() == "linear"


def ticks(axis):
    """The labels of an axis within its view, and those of its smaller ticks that are not empty."""
    axis.figure.draw_without_rendering()
    low, high = axis.get_view_interval()
    shown = {
        tick.label1.get_text() for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high
    }
    return shown | {tick.label1.get_text() for tick in axis.get_minor_ticks()} - {""}


def test_ticks_are_plain_numbers():
    skips = [step(1000 * i, seconds=float(10**i), skipped=i / 1) for i in range(3)]
    panels = by_title(draw({"a": skips}, smooth=0))
    assert ticks(panels["Time of a step"].yaxis) == {"1", "10", "100"}
    assert ticks(panels["Steps skipped in a row"].yaxis) == {"0", "1", "2"}
    assert ticks(panels["Time of a step"].xaxis) == {"0", "500", "1k", "1.5k", "2k"}
    axes = by_title(draw({"a": pixel(0.002, 0.0201)}, smooth=0))["Generator loss"]
    assert ticks(axes.yaxis) == {"0.002", "0.005", "0.01", "0.02"}
    axes = by_title(draw({"a": [step(1, l1=1.0), step(2, l1=1.0)]}, smooth=0))["L1 loss"]
    assert ticks(axes.xaxis) == {"0", "1", "2"}


@pytest.mark.parametrize(
    "count, shape", [(1, (1, 1)), (2, (1, 2)), (5, (2, 3)), (7, (2, 4)), (13, (5, 3)), (16, (4, 4))]
)
def test_the_grid_has_few_gaps(count, shape):
    record = step(1, **{f"term{i}": 1.0 for i in range(count)})
    figure = draw({"a": [record]}, smooth=0)
    grids = {axes.get_gridspec().get_geometry() for axes in figure.axes}
    assert (len(figure.axes), grids) == (count, {shape})
    assert all(axes.xaxis.get_tick_params()["labelbottom"] for axes in figure.axes)


def test_a_png_is_written(tmp_path):
    run = write(tmp_path / "run", game(2.0, 4.0))
    path = plot_runs([run])
    assert path == run / "curves.png"
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (3 * 546, 2 * 336 + 56))
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 24)}
    assert {(255, 255, 255), (0x00, 0x72, 0xB2)} < colours
    assert {p.name for p in run.iterdir()} == {"curves.png", "metrics.jsonl"}


def test_an_svg_holds_the_names_and_is_the_same_each_time(tmp_path):
    runs = [write(tmp_path / name, pixel(3.0, 2.0)) for name in (NASTY, "b\x01\udcff", "c")]
    one, two = (plot_runs(runs, output=tmp_path / "new" / name) for name in ("1.svg", "2.SVG"))
    assert one.read_bytes() == two.read_bytes()
    texts = [e.text for e in ElementTree.parse(one).iter("{http://www.w3.org/2000/svg}text")]
    assert texts[-3:] == [NASTY, "b\ufffd\ufffd", "c"]
    assert "Learning rate" in texts


def test_runs_of_one_name_are_called_by_their_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [write(tmp_path / name, pixel(3.0)) for name in ("a/run", "b/run", "c/other")]
    drawn = []
    monkeypatch.setattr(
        Figure, "savefig", lambda figure, path, **_: (drawn.append(legend(figure)), path.touch())
    )
    plot_runs([run.relative_to(tmp_path) for run in runs], output=tmp_path / "x.png")
    assert drawn == [["a/run", "b/run", "other"]]
    monkeypatch.chdir(runs[0])
    plot_runs([runs[0].relative_to(runs[0])])
    assert drawn[1:] == [["run"]]


def test_a_run_may_be_called_like_a_method():
    assert legend(draw({"bicubic": game()}, smooth=0)) == ["bicubic", "bicubic"]


def test_a_long_name_is_broken_and_takes_a_line_of_the_legend():
    names = {"x" * 60: pixel(1.0), "y": pixel(1.0)}
    figure = draw(names, smooth=0)
    assert legend(figure) == ["x" * 60, "y"]
    (record,) = [step(1, lr=1.0)]
    figure = draw({"x" * 60: [record]}, smooth=0)
    assert legend(figure) == ["x" * 50 + "\n" + "x" * 10]


def test_long_names_stand_below_each_other():
    narrow, wide = (draw({c * n: pixel(1.0) for c in "abc"}, smooth=0) for n in (40, 3))
    rows = [figure.legends[0].get_window_extent().height for figure in (narrow, wide)]
    assert rows[0] > 1.4 * rows[1]


def test_a_single_point_is_seen():
    for smooth in (0.0, 0.5):
        axes = by_title(draw({"a": pixel(1.0)}, smooth=smooth))["Generator loss"]
        assert axes.get_lines()[-1].get_marker() == "o"


def test_more_runs_than_the_palette_has_colours():
    figure = draw({str(i): pixel(1.0 + i) for i in range(9)}, smooth=0)
    assert len({colour for colour, *_ in lines(figure.axes[0])}) == 9


def test_nothing_else_of_matplotlib_is_touched(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    monkeypatch.delattr(matplotlib, "pyplot", raising=False)
    plot_runs([write(tmp_path / "run", pixel(1.0))])
    assert SETTINGS == {name: matplotlib.rcParams[name] for name in SETTINGS}


def test_what_fails_leaves_the_old_file(tmp_path, monkeypatch):
    run = write(tmp_path / "run", pixel(1.0))
    (run / "curves.png").write_text("old")

    def fail(figure, path, **_):
        path.write_text("half")
        raise OSError("no space")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="no space"):
        plot_runs([run])
    assert (run / "curves.png").read_text() == "old"
    assert len(list(run.iterdir())) == 2


def test_the_command(tmp_path):
    app = typer.Typer()
    app.command()(plot)
    run, other = write(tmp_path / "run", pixel(1.0)), write(tmp_path / "new", [])
    result = CliRunner().invoke(app, [str(run), "-o", str(tmp_path / "x.svg"), "--smooth", "0"])
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'x.svg'}\n")
    assert CliRunner().invoke(app, [str(run)]).exit_code == 0
    assert (run / "curves.png").exists()
    for arguments, words in (
        ([run, other], "got 2 runs and no file"),
        ([run, other, "-o", tmp_path / "y.png"], "new has logged no figures yet"),
        ([tmp_path], "holds no metrics.jsonl"),
        ([run, "-o", tmp_path / "x.pdf"], "got .pdf, wanted .png or .svg"),
        ([run, "--smooth", "1"], "smooth: got 1.0, wanted"),
    ):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == 2 and words in result.stderr, result.output
    assert {path.name for path in tmp_path.iterdir()} == {"run", "new", "x.svg"}


def test_matplotlib_may_be_absent(tmp_path, monkeypatch):
    run = write(tmp_path / "run", pixel(1.0))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ValueError, match=r'pip install "jax-super-resolution\[plot\]"'):
        plot_runs([run])

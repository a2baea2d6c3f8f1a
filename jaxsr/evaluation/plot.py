"""The curves of runs as a picture of small panels, by matplotlib, an extra."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxsr.evaluation.curves import (
    GENERATOR,
    METRIC,
    NETWORK,
    SKIPPED,
    TERM,
    Curve,
    Panel,
    Record,
    curves,
    in_order,
    read_records,
    smoothed,
    stage_ends,
)
from jaxsr.imaging.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind tell apart, without the yellow.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_GREY = "#777777"
_DASHES: tuple[Any, ...] = ("-", (0, (3.5, 1.2)))  # of the curves that a run has in one panel
_BASELINE, _END = (0, (6, 3)), ":"
_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#BBBBBB",
    "axes.grid": True,
    "axes.labelcolor": "#555555",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "font.size": 8.5,
    "grid.color": "#E8E8E8",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "jaxsr",  # the same file each time
    "text.parse_math": False,  # names of folders are no formulas
    "xtick.color": "#555555",
    "ytick.color": "#555555",
}
_WIDTH, _HEIGHT, _DPI = 3.9, 2.4, 140  # inches of a panel, and pixels of an inch
_CHARACTERS = 50  # that the legend has room for above a panel


def plot_runs(runs: Sequence[Path], *, output: Path | None = None, smooth: float = 0.8) -> Path:
    """Draw the curves of runs into one file, and give its path.

    `output` is a .png or .svg; without one, a single run's is its curves.png. What is taken of
    batches is drawn `smoothed` by the weight `smooth`, and as it is faintly behind; 0 turns it off.
    Raises ValueError for a run that has nothing to draw, and where matplotlib is absent.
    """
    output = _checked_output(runs, output)
    if not 0 <= smooth < 1:
        raise ValueError(f"smooth: got {smooth}, wanted 0 or more, and less than 1")
    logs = {name: read_records(run) for name, run in zip(_names(runs), runs, strict=True)}
    for name, records in logs.items():
        if not curves(records):
            raise ValueError(f"{name} has logged no figures yet; train it on, or leave it out")
    _check_matplotlib()
    from matplotlib import style

    output.parent.mkdir(parents=True, exist_ok=True)
    kind = output.suffix.lower()[1:]
    with style.context(["default", _STYLE]), replacing(output) as temporary:
        figure = draw(logs, smooth=smooth)
        metadata = {"Date": None} if kind == "svg" else {}
        figure.savefig(temporary, format=kind, dpi=_DPI, metadata=metadata)
    return output


def _checked_output(runs: Sequence[Path], output: Path | None) -> Path:
    if output is None and len(runs) != 1:
        raise ValueError(f"got {len(runs)} runs and no file for their curves; name it with -o")
    output = output or runs[0] / "curves.png"
    if output.suffix.lower() not in (".png", ".svg"):
        raise ValueError(f"{output}: got {output.suffix or 'no suffix'}, wanted .png or .svg")
    return output


def _names(runs: Sequence[Path]) -> list[str]:
    """What the runs are called, as text: by their folders, or whole paths where two are alike."""
    folders = [run.resolve().name for run in runs]
    known = Counter(folders)
    names = [f if known[f] == 1 else str(run) for f, run in zip(folders, runs, strict=True)]
    return [
        "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in n) for n in names
    ]


def _check_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ValueError(
            'plotting needs matplotlib, which is absent; pip install "jax-super-resolution[plot]"'
        ) from error


class _Run(NamedTuple):
    """What is drawn of a run, and its colour."""

    curves: dict[Panel, dict[str, Curve]]
    ends: list[int]
    colour: Any


def draw(logs: Mapping[str, Sequence[Record]], *, smooth: float) -> "Figure":
    """Draw the records of runs by name: a panel for each quantity that any of them has."""
    from matplotlib.figure import Figure

    runs = {
        name: _Run(curves(records), stage_ends(records), colour)
        for (name, records), colour in zip(logs.items(), _colours(len(logs)), strict=True)
    }
    panels = _shown(list(runs.values()))
    columns = min((3, 4), key=lambda count: (-len(panels) % count, -count))  # fewest gaps
    columns, rows = min(columns, len(panels)), math.ceil(len(panels) / columns)
    figure = Figure((_WIDTH * columns, _HEIGHT * rows + 0.4), layout="constrained")
    grid = list(figure.subplots(rows, columns, sharex=True, squeeze=False).flat)
    for axes in grid[len(panels) :]:
        axes.remove()
    for axes, panel in zip(grid, panels, strict=False):
        _draw_panel(axes, panel, list(runs.values()), smooth=smooth)
    grid[0].set_xlim(left=0)
    figure.supxlabel("step", color=_STYLE["axes.labelcolor"], fontsize=_STYLE["font.size"])
    _draw_legend(figure, runs, room=_CHARACTERS * columns)
    return figure


def _colours(count: int) -> Sequence[Any]:
    from matplotlib import colormaps

    if count <= len(_COLOURS):
        return _COLOURS[:count]
    return list(colormaps["viridis"](np.linspace(0, 0.9, count)))


def _shown(runs: Sequence[_Run]) -> list[Panel]:
    """The panels of all runs, but for a term that is the whole loss wherever it is taken."""
    panels = in_order(panel for run in runs for panel in run.curves)
    return [
        panel
        for panel in panels
        if panel.place != TERM or not all(_is_whole(run, panel) for run in runs)
    ]


def _is_whole(run: _Run, term: Panel) -> bool:
    if term not in run.curves:
        return True
    whole = run.curves.get(GENERATOR, {}).get("", ((), ()))
    return all(map(np.array_equal, run.curves[term][""], whole))


def _draw_panel(axes: "Axes", panel: Panel, runs: Sequence[_Run], *, smooth: float) -> None:
    axes.set_title(panel.title, loc="left")
    axes.set_ylabel(panel.unit)
    axes.tick_params(labelbottom=True)
    log = panel.log and _spans_decades(panel, runs)
    _draw_ends(axes, runs)
    _draw_baselines(axes, panel, runs)
    for run in runs:
        for label, dash in zip(panel.labels, _DASHES, strict=False):
            if label in run.curves.get(panel, {}):
                curve = run.curves[panel][label]
                look = {"color": run.colour, "linestyle": dash}
                if panel.place == METRIC:
                    axes.plot(*curve, marker="o", markersize=3, linewidth=1.3, **look)
                else:
                    weight = smooth if panel.noisy else 0.0
                    _draw_curve(axes, curve, run.ends, weight=weight, log=log, **look)
    _set_scales(axes, log=log, whole=panel == SKIPPED)
    shown = {label for run in runs for label in run.curves.get(panel, {})}
    if len(shown.intersection(panel.labels)) > 1:
        _label(axes, panel)


def _spans_decades(panel: Panel, runs: Sequence[_Run]) -> bool:
    values = np.concatenate([v for run in runs for _, v in run.curves.get(panel, {}).values()])
    return bool(values.min() > 0 and values.max() > 10 * values.min())


def _draw_curve(
    axes: "Axes", curve: Curve, ends: Sequence[int], *, weight: float, log: bool, **look: Any
) -> None:
    """Draw a curve, and where `weight` is not 0 its mean, anew after each stage, as it looks."""
    steps, values = curve
    marker = "o" if len(steps) == 1 else ""
    if not weight:
        axes.plot(steps, values, marker=marker, markersize=3, linewidth=1.3, **look)
        return
    axes.plot(steps, values, linewidth=0.7, alpha=0.3, color=look["color"])
    stages = np.split(np.log(values) if log else values, np.searchsorted(steps, ends, "right"))
    mean = np.concatenate([smoothed(stage, weight) for stage in stages])
    axes.plot(
        steps, np.exp(mean) if log else mean, marker=marker, markersize=3, linewidth=1.5, **look
    )


def _draw_baselines(axes: "Axes", panel: Panel, runs: Sequence[_Run]) -> None:
    """A dashed line for each method beside a network, grey where all runs have the same one."""
    found = [
        (values[-1], run.colour)
        for run in runs
        for label, (_, values) in run.curves.get(panel, {}).items()
        if panel.place == METRIC and label != NETWORK
    ]
    alike = len({value for value, _ in found}) == 1
    for value, colour in found[:1] if alike else found:
        axes.axhline(value, color=_GREY if alike else colour, linestyle=_BASELINE, linewidth=0.9)


def _draw_ends(axes: "Axes", runs: Sequence[_Run]) -> None:
    """A thin line at the end of each stage, grey where all runs have the same ones."""
    alike = len({tuple(run.ends) for run in runs}) == 1
    for run in runs[:1] if alike else runs:
        for step in run.ends:
            axes.axvline(step, color=_GREY if alike else run.colour, linestyle=_END, linewidth=0.9)


def _set_scales(axes: "Axes", *, log: bool, whole: bool) -> None:
    from matplotlib import ticker

    steps = [1, 2, 2.5, 5, 10]
    axes.xaxis.set_major_locator(ticker.MaxNLocator(5, steps=steps, integer=True))
    axes.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
    if log:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        subs = (1.0, 2.0, 5.0) if high < 100 * low else (1.0,)
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=subs))
        axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    elif whole:
        axes.yaxis.set_major_locator(ticker.MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))


def _label(axes: "Axes", panel: Panel) -> None:
    """Tell the curves of one run apart, beside the title."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=_GREY, linestyle=dash) for dash in _DASHES]
    axes.legend(
        lines,
        panel.labels,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=2,
        borderaxespad=0,
        columnspacing=1,
        handlelength=1.8,
    )


def _draw_legend(figure: "Figure", runs: Mapping[str, _Run], *, room: int) -> None:
    """The runs' names and the other lines, above all panels; `room` in characters."""
    from matplotlib.lines import Line2D

    thin = {"color": _GREY, "linewidth": 0.9}
    entries = [(name, Line2D([], [], color=run.colour, linewidth=2)) for name, run in runs.items()]
    if methods := {label for run in runs.values() for label in _methods(run)}:
        entries.append((" or ".join(sorted(methods)), Line2D([], [], linestyle=_BASELINE, **thin)))
    if any(run.ends for run in runs.values()):
        entries.append(("end of a stage", Line2D([], [], linestyle=_END, **thin)))
    names, lines = zip(*entries, strict=True)
    broken = ["\n".join(n[i : i + room] for i in range(0, len(n), room)) for n in names]
    columns = max(1, room // (max(map(len, names)) + 6))
    figure.legend(lines, broken, loc="outside upper left", ncols=columns)


def _methods(run: _Run) -> set[str]:
    """Those beside the network."""
    metrics = [found for panel, found in run.curves.items() if panel.place == METRIC]
    return {label for found in metrics for label in found if label != NETWORK}

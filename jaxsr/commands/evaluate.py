"""`jaxsr evaluate`: networks and methods side by side on a test set."""

import contextlib
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import rich.progress
import typer
from rich.console import Console
from rich.table import Table

from jaxsr.commands.console import FAILED, complain, err, out, plain_errors, print_table


def evaluate(
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="HR pictures: folder, file, glob or package:..."),
    ] = None,
    pairs: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="LR_DIR HR_DIR", help="Instead, LR pictures and HR ones, by name."),
    ] = None,
    no_reference: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Instead, pictures without an original; NIQE alone."),
    ] = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option("-w", "--weights", help="What jaxsr upscale takes; may be repeated."),
    ] = None,
    scale: Annotated[int | None, typer.Option(min=2, help="Needed without --weights.")] = None,
    ranges: Annotated[
        str | None,
        typer.Option(
            metavar="[[LOW, HIGH], ...]",
            help="What becomes 0 and 1 in each band or all, without --weights, which say it.",
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="Of the rows that need no weights only this; may be repeated."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Measure this too: ms_ssim_y, ms_ssim_rgb or niqe; may be repeated."),
    ] = None,
    lpips: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE[,FILE]",
            help="Measure LPIPS by these weights: network and heads, as in alexnet,lpips-alex.",
        ),
    ] = None,
    dists: Annotated[
        str | None,
        typer.Option(metavar="FILE[,FILE]", help="Measure DISTS by these: VGG16, alpha and beta."),
    ] = None,
    dictionary: Annotated[
        list[str] | None,
        typer.Option(
            help="Add a row: dictionaries learnt from these pictures; slow, needs the extra sparse."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write metrics.json, metrics.csv and a page to look at to this folder."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write what each method makes to folders in this one.")
    ] = None,
    json_: Annotated[
        str | None,
        typer.Option("--json", metavar="FILE", help="Write all figures to this file; - prints."),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC>=NUMBER",
            help="Fail unless this, or <=, holds of the mean of each network, or, without one, of"
            " each row; may be repeated.",
        ),
    ] = None,
) -> None:
    """Measure networks beside nearest, bilinear, bicubic, Lanczos and Wiener.

    Networks of scale 1 restore what they were trained to restore, beside the degraded picture.
    """
    with plain_errors():
        from jaxsr.evaluation.compare import compare
        from jaxsr.evaluation.evaluate import check_sizes
        from jaxsr.evaluation.requirements import parse, unmet
        from jaxsr.training.mesh import make_mesh

        wanted = [parse(text) for text in require or []]
        task = _task(data, pairs, no_reference, weights or [], scale, ranges)
        if report and task.examples[0].hr is None:
            raise ValueError("--report shows pictures beside originals; give --data or --pairs")
        measures = _measures(task, metric or [], lpips or [], dists)
        for name in (each.metric for each in wanted):
            if name not in measures.names:
                known = ", ".join(measures.names)
                raise ValueError(f"--require {name}: it is not measured; measured are {known}")
        check_sizes(task.examples, measures, scale=task.degradation.scale)
        _check_outputs(json_, report, save, sources=[*(data or ()), *(pairs or ()), no_reference])
        methods = _methods(task, method, dictionary)
        shown = err if json_ == "-" else out
        with _kept(task, list(methods), report, save) as (seen, finish):
            steps = compare(
                methods,
                task.examples,
                dataset=task.dataset,
                degradation=task.degradation,
                measures=measures,
                mesh=make_mesh(),
                seen=seen,
            )
            figures = _followed(steps, shown)
            print_table(_table(figures), shown)
            shown.print(figures["definition"], style="dim")
            _write_json(figures, json_)
            finish(figures)
        failures = unmet(wanted, figures, list(task.networks))
    for failure in failures:
        complain(failure)
    if failures:
        raise typer.Exit(FAILED)


def _task(
    data: list[str] | None,
    pairs: tuple[str, str] | None,
    unpaired: str | None,
    weights: list[Path],
    scale: int | None,
    ranges: str | None,
) -> Any:
    from jaxsr.evaluation.task import make_task
    from jaxsr.interop.load import load, load_degradation

    paths = {_label(path, weights): path for path in weights}
    return make_task(
        data=data or (),
        pairs=pairs,
        unpaired=unpaired,
        networks={name: load(path) for name, path in paths.items()},
        trained={name: load_degradation(path) for name, path in paths.items()},
        scale=scale,
        ranges=_ranges(ranges),
    )


def _measures(task: Any, metrics: list[str], lpips: list[str], dists: str | None) -> Any:
    """What is measured unasked, and what was asked for."""
    from jaxsr.evaluation.measures import make_measures, usual
    from jaxsr.interop.load import load_tensors

    names = usual(task.channels, scale=task.degradation.scale)
    if task.examples[0].hr is None:
        names = ["niqe", *(name for name in names if name == "consistency")]
        if lpips or dists or not {*metrics} <= {*names}:
            raise ValueError(
                f"--no-reference: {' and '.join(names)} need no original; leave out the others"
            )
    return make_measures(
        [*names, *metrics],
        channels=task.channels,
        lpips_states={files: [load_tensors(path) for path in files.split(",")] for files in lpips},
        dists_states=[load_tensors(path) for path in dists.split(",")] if dists else [],
    )


def _methods(task: Any, asked: list[str] | None, dictionary: list[str] | None) -> dict[str, Any]:
    """The rows: those that need no weights, the networks, and a dictionary that is learnt now."""
    from jaxsr.evaluation.compare import check_names, learn
    from jaxsr.evaluation.evaluate import classical_methods

    original = task.examples[0].hr is not None
    rows = classical_methods(task.degradation.scale, original=original)
    check_names(task.networks, [*rows, "dictionary"] if dictionary else rows)
    for name in asked or ():
        if name not in rows:
            raise ValueError(f"--method: got {name}, wanted one of {', '.join(rows)}")
    methods = {row: row for row in rows if not asked or row in asked} | dict(task.networks)
    if dictionary:
        methods["dictionary"] = learn(
            dictionary,
            degradation=task.degradation,
            channels=task.channels,
            ranges=task.ranges,
        )
    return methods


Seen = Callable[[str, Any, Any, Any], None]


@contextlib.contextmanager
def _kept(
    task: Any, methods: list[str], report: Path | None, save: Path | None
) -> Iterator[tuple[Seen | None, Callable[[Any], None]]]:
    """What is to be called with each picture made, if anything, and with the figures at the end."""
    from jaxsr.evaluation.report import Page
    from jaxsr.evaluation.saving import make_saver

    saved = make_saver(save, methods, task.examples) if save else None
    known = set()
    with contextlib.ExitStack() as stack:
        page = stack.enter_context(Page(report)) if report else None

        def seen(method, example, lr, sr):
            if saved:
                saved(method, example, sr)
            if page and example.name not in known:
                known.add(example.name)
                page.add_original(example.name, example.hr, lr)
            if page:
                page.add(method, example.name, sr, example.hr)

        def finish(figures):
            left = page.write(figures) if page else 0
            if left:
                err.print(f"{report}/index.html is full: {left} pictures have their figures alone")

        yield seen if report or save else None, finish


def _followed(steps: Iterator[dict[str, Any]], console: Console) -> dict[str, Any]:
    """The last of the reports, their progress shown."""
    with rich.progress.Progress(console=console, transient=True) as progress:
        *_, figures = progress.track(steps, description="evaluating")
    return figures


def _check_outputs(
    json_: str | None, report: Path | None, save: Path | None, *, sources: list[str | None]
) -> None:
    """Refuse what would take the place of pictures or weights, or be measured the next time."""
    if json_ and json_ != "-":
        if Path(json_).suffix != ".json":
            raise ValueError(f"--json: got {json_}, wanted a file that ends in .json, or -")
        Path(json_).parent.mkdir(parents=True, exist_ok=True)
    folders = [Path(source).resolve() for source in sources if source and Path(source).is_dir()]
    for option, output in (("--report", report), ("--save", save)):
        for folder in folders:
            if output and output.resolve().is_relative_to(folder):
                raise ValueError(
                    f"{option}: {output} lies among the pictures of {folder}, which would then be "
                    "measured too; name a folder elsewhere"
                )


def _write_json(figures: dict[str, Any], path: str | None) -> None:
    from jaxsr.imaging.files import replacing

    text = json.dumps(figures, indent=1, allow_nan=False)
    if path == "-":
        out.print(text)
    elif path:
        with replacing(path) as temporary:
            temporary.write_text(text)


def _ranges(text: str | None) -> tuple[tuple[float, float], ...]:
    try:
        return msgspec.json.decode(text or "[]", type=tuple[tuple[float, float], ...])
    except msgspec.DecodeError as error:
        raise ValueError(f"--ranges: got {text} ({error}), wanted [[LOW, HIGH], ...]") from error


def _label(path: Path, among: list[Path]) -> str:
    """The name of a weight file or run, or its whole path where two would be alike."""
    names = [p.resolve().name if p.is_dir() else p.stem for p in among]
    name = names[among.index(path)]
    return name if names.count(name) == 1 else str(path)


def _table(report: dict[str, Any]) -> Table:
    """Means; the shift of colours is for the files."""
    from jaxsr.evaluation.measures import described

    names = next(iter(report["methods"].values()))["mean"]
    columns = {name: described(name) for name in names if not name.startswith("shift")}
    table = Table(title=f"{report['dataset']}, x{report['scale']}, mean")
    table.add_column("method", overflow="fold")
    for name in (*columns, "seconds"):
        # On a narrow terminal a heading breaks, and a figure never.
        table.add_column(name, justify="right", overflow="fold", min_width=7)
    for name, result in report["methods"].items():
        figures = [_figure(result, m, facts["decimals"]) for m, facts in columns.items()]
        table.add_row(name, *figures, format(result["seconds"], ".1f"))
    return table


def _figure(result: dict[str, Any], metric: str, decimals: int) -> str:
    mean = result["mean"][metric]
    return format(math.nan if mean is None else float(mean), f".{decimals}f")

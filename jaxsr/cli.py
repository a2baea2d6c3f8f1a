"""The commands; the only module that prints."""

import contextlib
import json
import signal
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import rich.markup
import rich.progress
import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
out, err = Console(), Console(stderr=True)

FAILED, ASKED_WRONGLY = 1, 2


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """One sentence for what jaxsr refuses or the system denies; a defect keeps its traceback."""
    try:
        yield
    except (ValueError, FloatingPointError, OSError) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        ours = Path(frame.filename).is_relative_to(Path(__file__).parent)
        if not (ours or isinstance(error, OSError)):
            raise
        err.print(f"[bold red]error:[/] {rich.markup.escape(str(error))}", soft_wrap=True)
        raise typer.Exit(ASKED_WRONGLY if isinstance(error, ValueError) else FAILED) from None


class _Stop:
    """The first SIGINT or SIGTERM is noted; the second does what it always does."""

    signal: int | None = None

    def __init__(self):
        self._before = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}

    def _note(self, number: int, frame: Any) -> None:
        self.signal = number
        for each, handler in self._before.items():
            signal.signal(each, handler)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="A TOML config, such as configs/quickstart.toml.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="a.b=value", help="Override a field of the config."),
    ] = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="Where the run lives; started again there, it resumes.")
    ] = None,
    distributed: Annotated[
        bool, typer.Option("--distributed", help="Join a run of many processes.")
    ] = False,
    coordinator: Annotated[
        str | None, typer.Option(help="HOST:PORT of process 0, where no cluster tells it.")
    ] = None,
    processes: Annotated[int | None, typer.Option(help="Number of processes.")] = None,
    process_id: Annotated[int | None, typer.Option(help="Number of this process, from 0.")] = None,
) -> None:
    """Train a network, or go on with a run. Ctrl-C saves and stops."""
    with _plain_errors():
        from jaxsr.training.config import load_config

        run = run_dir or Path("runs") / config.stem
        settings = load_config(config, set_ or ())
        from jaxsr.training import mesh
        from jaxsr.training.loop import train as train_

        if distributed:
            mesh.connect(coordinator=coordinator, processes=processes, process_id=process_id)
        elif coordinator or processes is not None or process_id is not None:
            raise ValueError(
                "--coordinator, --processes and --process-id need --distributed; add it"
            )
        # In a run of many processes JAX agrees on the step after which all of them save.
        stop = None if distributed else _Stop()
        with contextlib.closing(train_(settings, run)) as records:
            ended = _show_training(records, stop, run)
    if stop and stop.signal:
        err.print("stopped and saved; the same command goes on from here")
        raise typer.Exit(128 + stop.signal)
    if ended == "preempted":
        raise typer.Exit(128 + signal.SIGTERM)


def _show_training(records: Iterator[dict[str, Any]], stop: _Stop | None, run: Path) -> str:
    """Render the records until they end or a signal came; gives the last event."""
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TextColumn("{task.fields[rate]}"),
        rich.progress.TimeRemainingColumn(elapsed_when_finished=True),
        rich.progress.TextColumn("{task.fields[losses]}"),
    )
    event = ""
    with rich.progress.Progress(*columns, console=out) as progress:
        bar = progress.add_task("reading", total=None, rate="", losses="")
        for record in records:
            event = record["event"]
            if event == "data":
                progress.console.print(f"{record['pictures']} training pictures")
                for path, reason in record["dropped"]:
                    progress.console.print(f"left out {path}: {reason}", soft_wrap=True)
            elif event == "cache":
                done, total = record["done"], record["total"]
                progress.update(bar, description="decoding", completed=done, total=total)
            elif event == "start":
                progress.update(bar, total=record["steps"], completed=record["step"])
                progress.update(bar, description="compiling")
                progress.console.print(f"{run}: step {record['step']} of {record['steps']}")
            elif event == "step":
                progress.update(bar, completed=record["step"], **_step_fields(record))
            elif event == "unreadable":
                progress.console.print(
                    f"skipped {record['path']}, which is unreadable: {record['reason']}",
                    soft_wrap=True,
                )
            elif event == "eval":
                figures = "  ".join(
                    f"{k} {record[k]:.3f}" for k in ("psnr_y", "ssim_y", "psnr_rgb")
                )
                progress.console.print(f"step {record['step']}: {figures}")
            elif event == "end" and record["best"]:
                best = record["best"]
                progress.console.print(
                    f"best {best['metric']} {best['value']:.3f} at step {best['step']}"
                )
            if stop and stop.signal:
                break
    return event


def _step_fields(record: dict[str, Any]) -> dict[str, Any]:
    shown = ("g_loss", "d_loss", "d_real", "d_fake")
    losses = "  ".join(f"{name} {record[name]:.4g}" for name in shown if name in record)
    skipped = "  skipped (not finite)" if record["skipped"] else ""
    stage = "adversarial" if "d_loss" in record else "pixel"
    rate = f"{1 / max(record['seconds'], 1e-9):.2f} steps/s"
    return {"description": stage, "rate": rate, "losses": losses + skipped}


@app.command()
def upscale(
    inputs: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them (recursive).")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="A file for one picture, else a folder.")
    ],
    weights: Annotated[
        Path, typer.Option("-w", "--weights", help="A .safetensors file or a run directory.")
    ],
) -> None:
    """Super-resolve pictures."""
    with _plain_errors():
        from jaxsr.inference.jobs import plan, run_job
        from jaxsr.interop.load import load

        network, items = load(weights), plan(inputs, output)
        failed = 0
        with rich.progress.Progress(console=out) as progress:
            for record in progress.track(
                run_job(network, items), total=len(items), description="upscaling"
            ):
                if record["error"]:
                    failed += 1
                    err.print(
                        f"[bold red]error:[/] {rich.markup.escape(record['error'])}", soft_wrap=True
                    )
                else:
                    progress.console.print(
                        f"{record['output']}  {record['seconds']:.1f} s",
                        soft_wrap=True,
                        highlight=False,
                    )
    if failed:
        err.print(f"{failed} of {len(items)} pictures failed")
        raise typer.Exit(FAILED)


@app.command()
def evaluate(
    data: Annotated[
        list[str], typer.Option("--data", help="HR pictures: folder, file, glob or package:...")
    ],
    weights: Annotated[
        list[Path] | None,
        typer.Option("-w", "--weights", help="Networks to measure; may be repeated."),
    ] = None,
    scale: Annotated[int | None, typer.Option(help="Needed without --weights.")] = None,
    json_: Annotated[
        Path | None, typer.Option("--json", help="Write all figures to this file.")
    ] = None,
) -> None:
    """PSNR and SSIM of networks beside nearest, bilinear, bicubic and Lanczos."""
    with _plain_errors():
        from jaxsr.evaluation.evaluate import common_scale, compare
        from jaxsr.imaging.files import replacing
        from jaxsr.interop.load import load

        networks = {_label(path, weights or []): load(path) for path in weights or []}
        with rich.progress.Progress(console=out, transient=True) as progress:
            steps = compare(networks, data, scale=common_scale(networks, scale))
            *_, report = progress.track(steps, description="evaluating")
        out.print(_table(report))
        out.print(report["definition"], style="dim", soft_wrap=True)
        if json_:
            with replacing(json_) as temporary:
                temporary.write_text(json.dumps(report, indent=1))


def _label(path: Path, among: list[Path]) -> str:
    """The name of a weight file or run, or its whole path where two would be alike."""
    names = [p.resolve().name.removesuffix(".safetensors") for p in among]
    name = names[among.index(path)]
    return name if names.count(name) == 1 else str(path)


def _table(report: dict[str, Any]) -> Table:
    columns = {"psnr_y": ".3f", "ssim_y": ".4f", "psnr_rgb": ".3f", "ssim_rgb": ".4f"}
    table = Table(title=f"{report['dataset']}, x{report['scale']}, mean")
    table.add_column("method")
    for name in columns:
        table.add_column(name, justify="right")
    for name, result in report["methods"].items():
        table.add_row(name, *(format(result["mean"][m], form) for m, form in columns.items()))
    return table


def _version(show: bool) -> None:
    if show:
        from jaxsr import __version__

        out.print(f"jaxsr {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train and run GAN image super-resolution in JAX."""

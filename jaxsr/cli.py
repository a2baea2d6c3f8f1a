"""The commands; with `display` the only module that prints."""

import contextlib
import dataclasses
import json
import math
import os
import signal
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import rich.progress
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jaxsr.display import Display

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
# Names of files may hold brackets, which are no markup.
out = Console(highlight=False, markup=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)

FAILED, ASKED_WRONGLY = 1, 2

WEIGHTS_HELP = "A .safetensors file, or a run directory, which stands for weights/last in it."


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
        _complain(str(error))
        raise typer.Exit(ASKED_WRONGLY if isinstance(error, ValueError) else FAILED) from None


def _complain(sentence: str) -> None:
    err.print(Text.assemble(("error: ", "bold red"), sentence))


class _Stop:
    """The first SIGINT or SIGTERM is noted, and the second ends the process where it stands.

    An exception in the middle of a compilation would crash it instead. In a run of many processes
    JAX notes SIGTERM itself and finds a step after which all of them stop, so there SIGINT is noted
    and handed on as SIGTERM.
    """

    signal: int | None = None

    def __init__(self, *, distributed: bool):
        self._distributed = distributed

    def __enter__(self):
        noted = [signal.SIGINT] if self._distributed else [signal.SIGINT, signal.SIGTERM]
        self._before = {each: signal.signal(each, self._note) for each in noted}
        return self

    def __exit__(self, *_: Any) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _note(self, number: int, frame: Any) -> None:
        # Bare writes: Python refuses a print within a print.
        if self.signal:
            os.write(1, b"\x1b[?25h" if out.is_terminal else b"")  # the cursor, which a bar hides
            os._exit(128 + number)
        self.signal = number
        os.write(2, b"\nstopping after this step, then saving; once more stops at once, unsaved\n")
        if self._distributed:
            os.kill(os.getpid(), signal.SIGTERM)


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
        settings = load_config(config, overrides=set_ or ())
        from jaxsr.training import mesh
        from jaxsr.training.loop import train as train_

        if distributed:
            mesh.connect(coordinator=coordinator, processes=processes, process_id=process_id)
        elif coordinator or processes is not None or process_id is not None:
            raise ValueError(
                "--coordinator, --processes and --process-id need --distributed; add it"
            )
        records, shown = train_(settings, run), mesh.first_process()
        with (
            _Stop(distributed=distributed) as stop,
            contextlib.closing(records),
            Display(out, run, every=settings.train.log_every, shown=shown) as display,
        ):
            event = ""
            for record in records:
                event = record["event"]
                display.show(record)
                if stop.signal and not distributed:
                    break
    if stop.signal:
        err.print("stopped; the same command goes on from here")
        raise typer.Exit(128 + stop.signal)
    if event == "preempted":
        raise typer.Exit(128 + signal.SIGTERM)


@app.command()
def upscale(
    inputs: Annotated[
        list[str], typer.Argument(help="Pictures: file, folder (recursive), glob or package:...")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="A file for one picture, else a folder.")
    ],
    weights: Annotated[Path | None, typer.Option("-w", "--weights", help=WEIGHTS_HELP)] = None,
    method: Annotated[
        str | None,
        typer.Option(help="nearest, bilinear, bicubic, lanczos or wiener, without weights."),
    ] = None,
    scale: Annotated[int | None, typer.Option(min=1, help="Of a method.")] = None,
) -> None:
    """Super-resolve, or with a network of scale 1 restore, pictures."""
    with _plain_errors():
        from jaxsr.imaging.find import other_files
        from jaxsr.inference.jobs import plan, run_job

        enlarge, channels = _enlarge(weights, method, scale)
        items, skipped, failed = plan(inputs, output), other_files(inputs), 0
        with rich.progress.Progress(console=out) as progress:
            for record in progress.track(
                run_job(enlarge, items, channels=channels),
                total=len(items),
                description="upscaling",
            ):
                if record["error"]:
                    failed += 1
                    _complain(record["error"])
                else:
                    out.print(f"{record['output']}  {record['seconds']:.1f} s")
    if skipped:
        out.print(f"{skipped} files in the folders are no pictures by their names; left alone")
    if failed:
        err.print(f"{failed} of {len(items)} pictures failed")
        raise typer.Exit(FAILED)


def _enlarge(weights: Path | None, method: str | None, scale: int | None) -> tuple[Any, Any]:
    """What enlarges, and the channels that it takes, as `run_job` wants them."""
    from jaxsr.inference.jobs import by_method, by_network
    from jaxsr.interop.load import load

    if (weights is None) == (method is None):
        raise ValueError("got both or neither of --weights and --method; give one of them")
    if weights is None:
        if scale is None:
            raise ValueError(f"--method {method} needs a scale; give --scale 4")
        return by_method(str(method), scale=scale), None
    if scale is not None:
        raise ValueError("--scale is for --method; a network has its own, so leave it out")
    network = load(weights)
    arch: Any = network.arch
    return by_network(network), arch.channels


@app.command()
def sample(
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture to write.")],
    weights: Annotated[Path, typer.Option("-w", "--weights", help=WEIGHTS_HELP)],
    count: Annotated[int, typer.Option("-n", min=1, help="Pictures in the grid.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other pictures.")] = 0,
) -> None:
    """Make pictures of noise and lay them out in a grid."""
    with _plain_errors():
        import jax
        import numpy as np

        from jaxsr.imaging.color import from_float
        from jaxsr.imaging.files import Picture, write
        from jaxsr.inference.sample import sample as sample_
        from jaxsr.inference.sample import tile
        from jaxsr.interop.load import load

        draw = jax.jit(sample_, static_argnames="count")
        # To be looked at, whatever the units.
        network = dataclasses.replace(load(weights), ranges=())
        pictures = np.asarray(draw(jax.random.key(seed), network, count=count))
        output.parent.mkdir(parents=True, exist_ok=True)
        write(output, Picture(tile(from_float(pictures, np.uint8))))
        out.print(f"{output}: {count} pictures")


@app.command()
def explain(
    picture: Annotated[Path, typer.Argument(help="The picture that the network is given.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture to write.")],
    weights: Annotated[Path, typer.Option("-w", "--weights", help=WEIGHTS_HELP)],
    at: Annotated[
        tuple[int, int] | None,
        typer.Option(metavar="Y X", help="Upper left output pixel of the patch; else the middle."),
    ] = None,
    size: Annotated[int, typer.Option(min=1, help="Output pixels of its side.")] = 8,
) -> None:
    """Show which input pixels a patch of the output depends on.

    Left the input, right how much each of its pixels matters to the patch, on a scale of four
    decades. The patch is framed in red, all that has any influence in blue.
    """
    with _plain_errors():
        from jaxsr.imaging import bands, color, files
        from jaxsr.inference.explain import draw
        from jaxsr.inference.explain import explain as explain_
        from jaxsr.interop.load import load

        network = load(weights)
        arch: Any = network.arch
        pixels = color.fit_channels(files.read(picture).pixels, arch.channels)
        y, x = at or [(n * arch.scale - size) // 2 for n in pixels.shape[:2]]
        explanation = explain_(network, pixels, y=y, x=x, size=size)
        output.parent.mkdir(parents=True, exist_ok=True)
        image = bands.to_unit(pixels, network.ranges)
        files.write(output, files.Picture(draw(image, explanation)))
        top, left, bottom, right = explanation.field
        out.print(
            f"{output}: the {size} x {size} pixels at ({y}, {x}) depend on "
            f"{bottom - top} x {right - left} input pixels, from ({top}, {left})"
        )


@app.command()
def evaluate(
    data: Annotated[
        list[str], typer.Option("--data", help="HR pictures: folder, file, glob or package:...")
    ],
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            "-w", "--weights", help="Files or run directories to measure; may be repeated."
        ),
    ] = None,
    scale: Annotated[int | None, typer.Option(min=2, help="Needed without --weights.")] = None,
    ranges: Annotated[
        str | None,
        typer.Option(
            metavar="[[LOW, HIGH], ...]",
            help="What becomes 0 and 1 in each band or all, without --weights, which say it.",
        ),
    ] = None,
    dictionary: Annotated[
        list[str] | None,
        typer.Option(
            help="Add a row: dictionaries learnt from these pictures; slow, needs the extra sparse."
        ),
    ] = None,
    json_: Annotated[
        Path | None,
        typer.Option("--json", help="Write all figures, those of each picture too, to this file."),
    ] = None,
) -> None:
    """PSNR and SSIM of networks beside nearest, bilinear, bicubic, Lanczos and Wiener.

    Networks of scale 1 restore what they were trained to restore, beside the degraded picture.
    """
    with _plain_errors():
        from jaxsr.evaluation.compare import common_input, compare, learn
        from jaxsr.imaging.files import replacing
        from jaxsr.interop.load import load, load_degradation
        from jaxsr.training.mesh import make_mesh

        paths = {_label(path, weights or []): path for path in weights or []}
        networks = {name: load(path) for name, path in paths.items()}
        trained = {name: load_degradation(path) for name, path in paths.items()}
        degradation, channels, units = common_input(
            networks, trained, scale, sources=data, ranges=_ranges(ranges)
        )
        methods: dict[str, Any] = dict(networks)
        if dictionary:
            methods["dictionary"] = learn(
                dictionary, degradation=degradation, channels=channels, ranges=units
            )
        steps = compare(
            methods,
            data,
            degradation=degradation,
            channels=channels,
            ranges=units,
            mesh=make_mesh(),
        )
        with rich.progress.Progress(console=out, transient=True) as progress:
            *_, report = progress.track(steps, description="evaluating")
        out.print(_table(report))
        out.print(report["definition"], style="dim")
        if json_:
            json_.parent.mkdir(parents=True, exist_ok=True)
            with replacing(json_) as temporary:
                temporary.write_text(json.dumps(report, indent=1, allow_nan=False))


def _ranges(text: str | None) -> tuple[tuple[float, float], ...]:
    try:
        return msgspec.json.decode(text or "[]", type=tuple[tuple[float, float], ...])
    except msgspec.DecodeError as error:
        raise ValueError(f"--ranges: got {text} ({error}), wanted [[LOW, HIGH], ...]") from error


def _label(path: Path, among: list[Path]) -> str:
    """The name of a weight file or run, or its whole path where two would be alike."""
    names = [p.resolve().name.removesuffix(".safetensors") for p in among]
    name = names[among.index(path)]
    return name if names.count(name) == 1 else str(path)


def _table(report: dict[str, Any]) -> Table:
    names = next(iter(report["methods"].values()))["mean"]
    columns = {name: ".3f" if name.startswith("psnr") else ".4f" for name in names}
    table = Table(title=f"{report['dataset']}, x{report['scale']}, mean")
    table.add_column("method")
    for name in (*columns, "seconds"):
        table.add_column(name, justify="right")
    for name, result in report["methods"].items():
        means = (math.inf if result["mean"][m] is None else result["mean"][m] for m in columns)
        figures = map(format, means, columns.values())
        table.add_row(name, *figures, format(result["seconds"], ".1f"))
    return table


def _version(show: bool) -> None:
    if show:
        from jaxsr import __version__

        out.print(f"jaxsr {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train and run GAN image super-resolution in JAX."""

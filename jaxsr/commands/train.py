"""`jaxsr train`: a run from its config, until it ends or a signal stops it."""

import contextlib
import os
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from jaxsr.commands.console import err, out, plain_errors
from jaxsr.display import Display


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
    with plain_errors():
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

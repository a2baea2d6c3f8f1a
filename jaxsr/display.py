"""What a person sees of a run as it goes: its records as lines and a bar."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import rich.progress
from rich.console import Console
from rich.table import Table


class Display:
    """Renders the records of a run: a live line in a terminal, elsewhere a line now and then."""

    def __init__(self, out: Console, run: Path, *, every: int, shown: bool):
        self._out, self._run, self._every, self._shown = out, run, every, shown
        self._live = out.is_terminal and shown
        columns = ("{task.description}", "{task.fields[rate]}", "{task.fields[losses]}")
        stage, rate, losses = map(rich.progress.TextColumn, columns)
        bar, left = rich.progress.BarColumn(8), rich.progress.TimeRemainingColumn()
        self._progress = rich.progress.Progress(
            stage,
            rich.progress.MofNCompleteColumn(),
            bar,
            rate,
            left,
            losses,
            console=out,
            disable=not self._live,
        )
        self._task = self._progress.add_task("reading", total=None, rate="", losses="")
        self._steps, self._seconds = 0, []

    def __enter__(self):
        self._progress.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._progress.stop()

    def show(self, record: dict[str, Any]) -> None:
        """Print what the record tells, and move the bar."""
        event, line = record["event"], _line(record, self._run)
        if line and self._shown:
            self._out.print(line)
        if event == "cache":
            done, total = record["done"], record["total"]
            self._progress.update(self._task, description="decoding", completed=done, total=total)
        elif event == "start":
            self._steps = record["steps"]
            self._progress.reset(self._task, total=self._steps, completed=record["step"])
            self._progress.update(self._task, description="compiling")
        elif event == "step":
            self._step(record)

    def _step(self, record: dict[str, Any]) -> None:
        step, last = record["step"], record["step"] == self._steps
        self._seconds.append(record["seconds"])
        due = last or record["skipped"] or step % self._every == 0
        if not (self._live or (self._shown and due)):
            return
        seconds = max(sum(self._seconds) / len(self._seconds), 1e-9)
        stage = "gan" if "d_loss" in record else "pixel"
        names = {"g": "g_loss", "d": "d_loss"}
        losses = [f"{k} {record[name]:.3g}" for k, name in names.items() if name in record]
        fields: dict[str, Any] = {"rate": f"{1 / seconds:.3g} steps/s", "losses": " ".join(losses)}
        if record["skipped"]:
            fields["losses"] += " skipped"
        self._progress.update(self._task, completed=step, description=stage, **fields)
        if not self._live:
            left = timedelta(seconds=round((self._steps - step) * seconds))
            count = f"{step}/{self._steps}"
            self._out.print(f"{stage} {count}  {fields['rate']}  {left} left  {fields['losses']}")
        if due:
            self._seconds = []


class JobDisplay:
    """Renders the records of a job: a bar in a terminal, a line for each picture that was made."""

    def __init__(self, out: Console, count: int):
        self._out, self._start, self._records = out, time.monotonic(), []
        columns = [
            rich.progress.TextColumn(f"{{task.{each}}}") for each in ("description", "fields[rate]")
        ]
        bar, left = rich.progress.BarColumn(), rich.progress.TimeRemainingColumn()
        counted = rich.progress.MofNCompleteColumn()
        self._progress = rich.progress.Progress(
            columns[0], counted, bar, columns[1], left, console=out
        )
        self._task = self._progress.add_task("upscaling", total=count, rate="")

    def __enter__(self):
        self._progress.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._progress.stop()

    @property
    def failed(self) -> int:
        """How many pictures failed."""
        return self._count("failed")

    def show(self, record: dict[str, Any]) -> None:
        """Print what became of a picture, and move the bar."""
        self._records.append(record)
        self._progress.update(self._task, advance=1, rate=self._rate())
        if record["status"] == "done":
            notes = "".join(f"; {note}" for note in record["notes"])
            self._out.print(f"{record['output']}  {record['seconds']:.1f} s{notes}")

    def summary(self) -> None:
        """Print how the job went, where it was one of several pictures."""
        if not self._records:
            self._out.print("this share holds no pictures")
        if len(self._records) < 2:
            return
        table = Table("pictures", "", title=self._rate())
        for status in ("done", "skipped", "failed"):
            table.add_row(status, str(self._count(status)))
        self._out.print(table)

    def _count(self, status: str) -> int:
        return sum(record["status"] == status for record in self._records)

    def _rate(self) -> str:
        seconds = max(time.monotonic() - self._start, 1e-9)
        read = sum(record["input_pixels"] for record in self._records) / 1e6
        made = sum(bool(record["input_pixels"]) for record in self._records)
        return f"{made / seconds:.3g} pictures/s, {read / seconds:.3g} megapixels/s"


def _line(record: dict[str, Any], run: Path) -> str:
    """What is worth a line that stays; nothing for a mere step."""
    event = record["event"]
    if event == "data":
        dropped = (f"left out {path}: {reason}" for path, reason in record["dropped"])
        return "\n".join([f"{record['pictures']} training pictures", *dropped])
    if event == "start":
        at = f"{run}: step {record['step']} of {record['steps']}"
        done = record["step"] == record["steps"]
        return at + (", finished; a higher train.steps trains on" if done else "")
    if event == "unreadable":
        return f"skipped {record['path']}, which is unreadable: {record['reason']}"
    if event in ("baseline", "eval"):
        names = [name for name in record if name.startswith(("psnr", "ssim"))][:3]
        names += [n for n in record if n.startswith(("ms_ssim", "lpips", "dists", "niqe"))]
        what = record.get("method", f"step {record['step']}")
        return f"{what}: {'  '.join(f'{n} {record[n]:.3f}' for n in names) or 'a grid of pictures'}"
    if event == "end":
        best, count = record["best"], record["unreadable"]
        told = [f"best {best['metric']} {best['value']:.3f} at step {best['step']}"] if best else []
        return "\n".join(told + ([f"{count} pictures were unreadable"] if count else []))
    return ""

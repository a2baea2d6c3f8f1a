"""The log of a run as curves, by the panel that each stands in."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsr.evaluation.measures import described

NETWORK = "network"  # the curve of an evaluation; any other is of the method beside it

Record = dict[str, Any]
Curve = tuple[np.ndarray, np.ndarray]  # steps, rising, and values


class Panel(NamedTuple):
    """What one panel shows; those of a lower `place` come first."""

    place: int
    title: str
    unit: str = ""
    labels: tuple[str, ...] = ("",)  # of the curves that a run may have in it
    log: bool = False  # its values may span decades
    noisy: bool = False  # from batch to batch, so that a mean says more


# The places of the terms of the generator's loss, of metrics, and of those without a direction.
TERM, METRIC, LAST = 1, 5, 11
_PLAYERS = ("generator", "discriminator")
GENERATOR = Panel(0, "Generator loss", log=True, noisy=True)
SKIPPED = Panel(10, "Steps skipped in a row")
# By the fields of a step's record that are its curves.
_PANELS = {
    ("g_loss",): GENERATOR,
    ("d_loss",): Panel(2, "Discriminator loss", log=True, noisy=True),
    ("penalty",): Panel(3, "Gradient penalty", log=True, noisy=True),
    ("d_real", "d_fake"): Panel(
        4, "Discriminator", "mean output", ("D(real)", "D(fake)"), noisy=True
    ),
    ("pairwise_distance", "pairwise_distance_real"): Panel(
        6, "Distance of two pictures", labels=("made", "real"), noisy=True
    ),
    ("lr", "d_lr"): Panel(7, "Learning rate", labels=_PLAYERS, log=True),
    ("g_grad_norm", "d_grad_norm"): Panel(
        8, "Gradient norm", labels=_PLAYERS, log=True, noisy=True
    ),
    ("seconds",): Panel(9, "Time of a step", "s", log=True, noisy=True),
    ("skipped",): SKIPPED,
}
_FIELDS = {
    field: (panel, label)
    for fields, panel in _PANELS.items()
    for field, label in zip(fields, panel.labels, strict=True)
}


def read_records(run: Path) -> list[Record]:
    """Read the log of a run, which may go on; a last line that is not finished is left out."""
    path = run / "metrics.jsonl"
    if not path.is_file():
        raise ValueError(f"{run} holds no {path.name}; name a run directory of jaxsr train")
    *lines, _ = path.read_bytes().split(b"\n")
    return [_record(line, f"{path}, line {number}") for number, line in enumerate(lines, 1)]


def _record(line: bytes, where: str) -> Record:
    try:
        return json.loads(line)
    except ValueError as error:
        raise ValueError(f"{where} is damaged ({error}); delete it, or restore the file") from error


def curves(records: Iterable[Record]) -> dict[Panel, dict[str, Curve]]:
    """The curves of a run by panel and label, of all that is finite in its records.

    Of two records of one step the later counts. A method beside the network has one point.
    """
    found: dict[Panel, dict[str, dict[int, float]]] = {}
    for record in records:
        for panel, label, value in _values(record):
            found.setdefault(panel, {}).setdefault(label, {})[record["step"]] = value
    if not any(found.get(SKIPPED, {}).get("", {}).values()):
        found.pop(SKIPPED, None)
    return {
        panel: {label: _curve(points) for label, points in found[panel].items()}
        for panel in in_order(found)
    }


def in_order(panels: Iterable[Panel]) -> list[Panel]:
    """Each panel once, by its place."""
    return sorted(dict.fromkeys(panels), key=lambda panel: panel.place)


def _values(record: Record) -> Iterator[tuple[Panel, str, float]]:
    """Panel, label and value of each curve that goes through a record."""
    event = record["event"]
    for name, value in record.items():
        # None stands for what is not finite.
        if not isinstance(value, float):
            continue
        if event == "step":
            term = Panel(TERM, f"{name.removeprefix('g_').capitalize()} loss", log=True, noisy=True)
            yield *_FIELDS.get(name, (term, "")), value
        elif event in ("baseline", "eval"):
            metric = described(name)
            place = LAST if metric["better"] == "zero" else METRIC
            panel = Panel(place, metric["label"], metric["unit"], (NETWORK,))
            yield panel, record.get("method", NETWORK), value


def _curve(points: Mapping[int, float]) -> Curve:
    steps = sorted(points)
    return np.array(steps), np.array([points[step] for step in steps])


def stage_ends(records: Iterable[Record]) -> list[int]:
    """The logged steps after which other losses were taken, as after a pixel stage."""
    steps = (record for record in records if record["event"] == "step")
    taken = {record["step"]: record.keys() - {"penalty"} for record in steps}  # it may be lazy
    pairs = itertools.pairwise(sorted(taken))
    return [step for step, following in pairs if taken[step] != taken[following]]


def smoothed(values: np.ndarray, weight: float) -> np.ndarray:
    """The mean of each value and those before it, each `weight` times as heavy as the next."""
    total, weights, means = 0.0, 0.0, []
    for value in values.tolist():
        total, weights = weight * total + value, weight * weights + 1
        means.append(total / weights)
    return np.array(means)

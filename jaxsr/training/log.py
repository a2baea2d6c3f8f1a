"""What a run writes for people: metrics.jsonl, TensorBoard events and picture grids."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import tensorboardX
from PIL import Image, ImageDraw

from jaxsr.imaging import files
from jaxsr.imaging.color import from_float
from jaxsr.training import mesh as meshes

_GAP, _HEAD = 4, 16  # pixels between pictures, and of the line of titles


class Log:
    """The logs of a run from `step` on; what was written after that is dropped.

    Of finite steps every `every`-th is kept.
    """

    def __init__(self, run_dir: Path, *, step: int, every: int):
        self._writes = meshes.first_process()
        self._every = every
        if not self._writes:
            return
        self._images = run_dir / "images"
        self._images.mkdir(exist_ok=True)
        path = run_dir / "metrics.jsonl"
        kept = _records_until(path, step)
        with files.replacing(path) as temporary:
            temporary.write_text(kept)
        self._file = path.open("a", buffering=1)
        self._board = tensorboardX.SummaryWriter(str(run_dir / "tensorboard"), purge_step=step + 1)

    def write(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Append records and give them back; a `grid` among their fields becomes a picture."""
        for record in records if self._writes else ():
            if record["event"] != "step" or record["skipped"] or record["step"] % self._every == 0:
                self._append(record)
        return records

    def _append(self, record: dict[str, Any]) -> None:
        step, event = record["step"], record["event"]
        fields = {name: _finite(value) for name, value in record.items() if name != "grid"}
        self._file.write(json.dumps(fields, allow_nan=False) + "\n")
        for name, value in fields.items():
            if isinstance(value, float):
                self._board.add_scalar(f"{event}/{name}", value, step)
        if "grid" in record:
            files.write(self._images / f"{step:07d}.png", files.Picture(record["grid"]))
            self._board.add_image("eval/pictures", record["grid"], step, dataformats="HWC")

    def close(self) -> None:
        """Write out what is buffered, and close both files."""
        if self._writes:
            self._file.close()
            self._board.close()


def _finite(value: Any) -> Any:
    # JSON has no NaN and no infinity.
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _records_until(path: Path, step: int) -> str:
    """The lines of a log up to a step; a line that a killed run did not finish ends it."""
    kept = ""
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            break
        if record["step"] <= step:
            kept += line + "\n"
    return kept


def picture_grid(columns: dict[str, list[np.ndarray]]) -> np.ndarray:
    """Titled columns of uint8 pictures [H, W, 1 or 3] side by side, one row for each picture."""
    rows = [[_rgb(p) for p in row] for row in zip(*columns.values(), strict=True)]
    width = max(picture.shape[1] for row in rows for picture in row)
    heights = [max(picture.shape[0] for picture in row) for row in rows]
    size = (_HEAD + sum(heights) + _GAP * len(rows), (width + _GAP) * len(columns) - _GAP, 3)
    canvas = np.full(size, 255, np.uint8)
    y = _HEAD
    for row, height in zip(rows, heights, strict=True):
        for column, picture in enumerate(row):
            x = column * (width + _GAP)
            canvas[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
        y += height + _GAP
    image = Image.fromarray(canvas)
    for column, title in enumerate(columns):
        ImageDraw.Draw(image).text((column * (width + _GAP) + 2, 2), title, fill="black")
    return np.asarray(image)


def shown(pictures: Any) -> np.ndarray:
    """[..., C] as uint8, and of bands that are neither grey nor RGB the first three, or first."""
    pictures = np.asarray(pictures)
    pictures = pictures if pictures.dtype == np.uint8 else from_float(pictures, np.uint8)
    return pictures[..., : 3 if pictures.shape[-1] >= 3 else 1]


def _rgb(picture: np.ndarray) -> np.ndarray:
    return np.broadcast_to(picture, (*picture.shape[:2], 3))

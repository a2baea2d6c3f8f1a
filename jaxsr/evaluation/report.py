"""The report of an evaluation as files: metrics.json, metrics.csv, and one page to look at."""

import base64
import csv
import hashlib
import html
import json
import tempfile
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from jaxsr.evaluation.errors import histogram, spectrum, spot
from jaxsr.evaluation.measures import described
from jaxsr.imaging import pillow
from jaxsr.imaging.color import from_float, to_float
from jaxsr.imaging.files import replacing
from jaxsr.imaging.picture import Picture
from jaxsr.imaging.resize import resize

WINDOW = 768  # most pixels a side that the page shows of a picture, those of its middle
LIMIT = 40_000_000  # bytes of pictures in the page; those beyond have figures alone
THUMBNAIL = 112  # pixels of the longer side, for 56 on a dense screen
_SCRIPTS = ("tables.js", "plots.js", "compare.js", "controls.js")


class Page:
    """Takes the pictures of an evaluation one at a time, and writes its report at the end.

    A context manager: until it ends, what it was given lies in a temporary folder. Pictures are
    [H, W, C], uint8, uint16 or float32 in [0, 1]. They are shown with 8 bits; of bands, the first
    three, or the first of two.
    """

    def __init__(self, folder: str | Path):
        self._folder = Path(folder)
        self._pictures: dict[str, dict[str, Any]] = {}
        self._images: list[Path] = []

    def __enter__(self) -> "Page":
        self._folder.mkdir(parents=True, exist_ok=True)
        self._scratch = tempfile.TemporaryDirectory(prefix="jaxsr-report-")
        return self

    def __exit__(self, *_: Any) -> None:
        self._scratch.cleanup()

    def add_original(self, name: str, hr: np.ndarray, lr: np.ndarray) -> None:
        """Take a picture, and the input that methods are given, a whole factor smaller."""
        scale = hr.shape[0] // lr.shape[0]
        window = _window(hr.shape[1], hr.shape[0], scale)
        self._pictures[name] = {
            "crop": scale if scale > 1 else 0,
            "size": [hr.shape[1], hr.shape[0]],
            "window": window,
            "spot": spot(_cut(hr, window)),
            "thumbnail": _thumbnail(hr),
            "images": [self._store(lr, [n // scale for n in window]), self._store(hr, window)],
            "spectrum": spectrum(hr),
            "results": {},
        }

    def add(self, method: str, name: str, sr: np.ndarray, hr: np.ndarray) -> None:
        """Take what a method made of a picture, `hr`, that `add_original` was given."""
        picture = self._pictures[name]
        if sr.shape != hr.shape:
            raise ValueError(f"{method}, {name}: got {sr.shape}, wanted the original's {hr.shape}")
        picture["results"][method] = {
            "image": self._store(sr, picture["window"]),
            "histogram": histogram(sr, hr, crop=picture["crop"]),
            "spectrum": spectrum(sr),
        }

    def write(self, report: Mapping[str, Any]) -> int:
        """Write the three files, from the report that `compare` makes.

        A method of which any picture was added must have them all. Gives the number of pictures
        beyond `LIMIT`, of which the page has the figures alone.
        """
        write_figures(self._folder, report)
        added = {method for known in self._pictures.values() for method in known["results"]}
        methods = [
            {"name": name, "drawn": name in added, "mean": r["mean"], "seconds": r["seconds"]}
            for name, r in report["methods"].items()
        ]
        content = {key: report[key] for key in ("dataset", "scale", "definition")} | {
            "metrics": [described(name) for name in metric_names(report)],
            "methods": methods,
            "pictures": self._described(report, [m["name"] for m in methods if m["drawn"]]),
        }
        shown = [number for picture in content["pictures"] for number in picture.get("images", [])]
        with replacing(self._folder / "index.html") as temporary:
            _write_page(temporary, content, {number: self._images[number] for number in shown})
        return sum("images" not in picture for picture in content["pictures"])

    def _described(self, report: Mapping[str, Any], drawn: Sequence[str]) -> list[dict[str, Any]]:
        """What the page knows of each picture; without `images` what goes beyond the limit."""
        results = report["methods"].values()
        pictures, size = [], 0
        for name in dict.fromkeys(name for result in results for name in result["images"]):
            picture = {"name": name, "values": [r["images"].get(name, {}) for r in results]}
            if known := self._pictures.get(name):
                made = [known["results"][method] for method in drawn]
                images = known["images"] + [result["image"] for result in made]
                picture |= {key: known[key] for key in ("size", "window", "spot", "thumbnail")}
                picture["histograms"] = [result["histogram"] for result in made]
                picture["spectra"] = [known["spectrum"], *(result["spectrum"] for result in made)]
                size += sum(4 * self._images[number].stat().st_size // 3 for number in images)
                picture |= {"images": images} if size <= LIMIT else {}
            pictures.append(picture)
        return pictures

    def _store(self, pixels: np.ndarray, window: Sequence[int]) -> int:
        """Keep a window of a picture, without loss; gives the number it is known by."""
        path = Path(self._scratch.name, f"{len(self._images)}.webp")
        # Method 4 takes four times as long for 7 % fewer bytes.
        path.write_bytes(_webp(_viewable(_cut(pixels, window)), lossless=True, method=1))
        self._images.append(path)
        return len(self._images) - 1


def write_figures(folder: str | Path, report: Mapping[str, Any]) -> None:
    """Write metrics.json, the report as it is, and metrics.csv, whose rows are of one picture each.

    After those of a method comes its row `mean`; `inf` is infinite, and what is empty is no number
    or was not measured.
    """
    folder, metrics = Path(folder), metric_names(report)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "metrics.json") as temporary:
        temporary.write_text(json.dumps(report, indent=1, allow_nan=False))
    with replacing(folder / "metrics.csv") as temporary:
        # Names of files that are not UTF-8 keep their bytes.
        with temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["method", "picture", *metrics])
            for method, result in report["methods"].items():
                for picture, values in (result["images"] | {"mean": result["mean"]}).items():
                    rows.writerow([method, picture, *map(values.get, metrics)])


def metric_names(report: Mapping[str, Any]) -> list[str]:
    """The metrics that any method was measured by."""
    return list(dict.fromkeys(n for r in report["methods"].values() for n in r["mean"]))


def _window(width: int, height: int, scale: int) -> list[int]:
    """Left, top, width and height of what is shown, whole multiples of the scale."""
    most = WINDOW - WINDOW % scale
    wide, tall = min(width, most), min(height, most)
    left, top = (n // (2 * scale) * scale for n in (width - wide, height - tall))
    return [left, top, wide, tall]


def _cut(pixels: np.ndarray, window: Sequence[int]) -> np.ndarray:
    left, top, width, height = window
    return pixels[top : top + height, left : left + width]


def _viewable(pixels: np.ndarray) -> np.ndarray:
    channels = pixels.shape[-1]
    image = to_float(pixels[..., : 3 if channels > 2 else 1])
    return from_float(np.nan_to_num(image), np.uint8)


def _thumbnail(hr: np.ndarray) -> str:
    image = _viewable(hr)
    sides = image.shape[:2]
    height, width = (max(1, round(n * min(1, THUMBNAIL / max(sides)))) for n in sides)
    small = resize(to_float(image), (height, width), method="area")
    return _base64(_webp(from_float(small, np.uint8), quality=85))


def _webp(pixels: np.ndarray, **options: Any) -> bytes:
    return pillow.encode([pillow.encodable(Picture(pixels), "WEBP")], "WEBP", options)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _write_page(path: Path, content: Mapping[str, Any], images: Mapping[int, Path]) -> None:
    """Write one file, whose policy lets the browser load nothing and run this one script."""
    page, style = _resource("index.html"), _resource("style.css")
    script = "".join(map(_resource, _SCRIPTS))
    policy = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": _digest(style),
        "script-src": _digest(script),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    filled = Template(page).substitute(
        policy="; ".join(map(" ".join, policy.items())),
        title=html.escape(f"{content['dataset']}, \u00d7{content['scale']}"),
        style=style,
        # No `<` of a name can end the element that it stands in.
        report=json.dumps(content, allow_nan=False).replace("<", "\\u003c"),
        script=script,
    )
    before, after = filled.split("<!-- pictures -->")
    with path.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
        file.write(before)
        for number, image in images.items():
            data = _base64(image.read_bytes())
            file.write(f'<script type="text/plain" id="image-{number}">{data}</script>\n')
        file.write(after)


def _resource(name: str) -> str:
    return resources.files("jaxsr.evaluation").joinpath("page", name).read_text("utf-8")


def _digest(text: str) -> str:
    """What a content security policy calls a text by."""
    return f"'sha256-{_base64(hashlib.sha256(text.encode()).digest())}'"

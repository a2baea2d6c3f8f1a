"""Makes canvas.npz: torch.nn.functional.interpolate without antialiasing, in float64.

Run by hand: `python tests/parity/canvas.py` with torch 2.13. The test takes all that is defined
above `main` from here.
"""

from pathlib import Path

import numpy as np

METHODS = ("area", "bilinear", "bicubic")
# Larger, smaller, both, the same, by no simple ratio, a single pixel.
SIZES = ((15, 22), (4, 3), (20, 3), (9, 11), (8, 12), (1, 1))


def picture():
    return np.random.default_rng(0).random((9, 11, 3)).astype(np.float32)


def main():
    import torch
    from torch.nn.functional import interpolate

    image = torch.from_numpy(picture().astype(np.float64).transpose(2, 0, 1))[None]
    arrays = {}
    for method in METHODS:
        options = {} if method == "area" else {"align_corners": False}
        for size in SIZES:
            resized = interpolate(image, size, mode=method, **options)[0].numpy()
            arrays[f"{method}/{size[0]}x{size[1]}"] = resized.transpose(1, 2, 0).astype(np.float32)
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()

"""Makes matlab_resize.npz: pictures resized as MATLAB's imresize and BasicSR's port of it state.

Run by hand with numpy alone: `python tests/parity/matlab_resize.py`. Written pixel by pixel in
float64 with MATLAB's one-based `contributions`, on a picture padded with its mirror image, and so
shares nothing with jaxsr/imaging/resize.py.
"""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np

A = -0.5


def cubic(x):
    x = abs(x)
    if x <= 1:
        return (A + 2) * x**3 - (A + 3) * x**2 + 1
    if x <= 2:
        return A * x**3 - 5 * A * x**2 + 8 * A * x - 4 * A
    return 0.0


def triangle(x):
    return max(0.0, 1 - abs(x))


def lanczos3(x):
    if x == 0:
        return 1.0
    if abs(x) >= 3:
        return 0.0
    return math.sin(math.pi * x) * math.sin(math.pi * x / 3) / (math.pi**2 * x**2 / 3)


def box(x):
    return 1.0 if -0.5 <= x < 0.5 else 0.0


KERNELS = {
    "bicubic": (cubic, 4),
    "bilinear": (triangle, 2),
    "lanczos": (lanczos3, 6),
    "area": (box, 1),
}


def contributions(n_in, n_out, kernel, kernel_width):
    scale = Fraction(n_out, n_in)  # exact, so that no pixel on the box's edge is lost to rounding
    widened = scale < 1
    if widened:
        kernel_width = kernel_width / scale
    rows = []
    for x in range(1, n_out + 1):
        u = x / scale + Fraction(1, 2) * (1 - 1 / scale)
        left = math.floor(u - kernel_width / 2)
        taps = range(left, left + math.ceil(kernel_width) + 2)
        weights = [kernel(float(scale * (u - i) if widened else u - i)) for i in taps]
        total = sum(weights)
        rows.append([(i, w / total) for i, w in zip(taps, weights, strict=True) if w])
    return rows


def resize_rows(image, n_out, kernel, kernel_width):
    n_in = len(image)
    pad = n_in  # one whole mirror image either side
    padded = np.concatenate([image[::-1], image, image[::-1]])
    rows = contributions(n_in, n_out, kernel, kernel_width)
    return np.stack([sum(w * padded[i - 1 + pad] for i, w in row) for row in rows])


def imresize(image, size, method):
    image = resize_rows(image, size[0], *KERNELS[method])
    return resize_rows(image.transpose(1, 0, 2), size[1], *KERNELS[method]).transpose(1, 0, 2)


# name: height and width in, height and width out
SIZES = {
    "half": ((24, 20), (12, 10)),
    "third": ((27, 24), (9, 8)),
    "quarter": ((28, 32), (7, 8)),
    "double": ((9, 7), (18, 14)),
    "quadruple": ((9, 7), (36, 28)),
    "odd": ((23, 17), (10, 29)),
}


def main():
    rng = np.random.default_rng(7)
    arrays = {}
    for name, (size_in, size_out) in SIZES.items():
        image = rng.random((*size_in, 2)).astype(np.float32)
        arrays[f"{name}/image"] = image
        for method in KERNELS:
            golden = imresize(image.astype(np.float64), size_out, method)
            arrays[f"{name}/{method}"] = golden.astype(np.float32)
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()

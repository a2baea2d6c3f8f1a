"""Real-ESRGAN's degradation with NumPy, OpenCV and SciPy, as loaders make it on the CPU.

What `benchmarks/degrade.py --reference` compares with: the operations and parameters of
`jaxsr.imaging.realworld`, one picture at a time. Pictures are [H, W, 3], BGR as OpenCV has them.
"""

from collections.abc import Iterable
from math import ceil, floor, log2, pi
from multiprocessing import get_context
from multiprocessing.pool import Pool

import cv2
import numpy as np
from scipy.special import j1

from jaxsr.imaging.passes import KERNELS, Pass
from jaxsr.imaging.realworld import RealESRGAN

_METHODS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)


def start(workers: int) -> Pool:
    """Starts processes of one thread each, as those of a loader are."""
    return get_context("spawn").Pool(workers, initializer=cv2.setNumThreads, initargs=(1,))


def degrade(seed: Iterable[int], hr: np.ndarray, spec: RealESRGAN) -> tuple[np.ndarray, np.ndarray]:
    """Makes (lr, target), all uint8."""
    rng = np.random.default_rng(list(seed))
    image = np.float32(hr) / 255
    target = _sharpened(image) if spec.sharpen else image
    size = hr.shape[0], hr.shape[1]
    small = size[0] // spec.scale, size[1] // spec.scale
    image = _passed(rng, target, spec.first, size)
    image = _coded(rng, image, spec.first)
    image = _passed(rng, image, spec.second, small)
    jpeg_first = rng.random() < 0.5
    if jpeg_first:
        image = _coded(rng, image, spec.second)
    image = _resized(rng, image, small)
    if rng.random() < spec.final_sinc:
        image = _blurred(image, _sinc(_draw_size(rng), rng.uniform(pi / 3, pi)))
    if not jpeg_first:
        image = _coded(rng, image, spec.second)
    return _levels(image), _levels(target)


def _passed(
    rng: np.random.Generator, image: np.ndarray, pass_: Pass, size: tuple[int, int]
) -> np.ndarray:
    if rng.random() < pass_.blur:
        image = _blurred(image, _draw_kernel(rng, pass_))
    low, high = pass_.factor
    factors = [rng.uniform(1, max(high, 1)), rng.uniform(min(low, 1), 1), 1]
    factor = rng.choice(factors, p=pass_.resize)
    image = _resized(rng, image, (floor(size[0] * factor), floor(size[1] * factor)))
    make = _gaussian_noise if rng.random() < pass_.gaussian else _poisson_noise
    return np.clip(image + make(rng, image, pass_, rng.random() < pass_.grey), 0, 1)


def _draw_kernel(rng: np.random.Generator, pass_: Pass) -> np.ndarray:
    size = _draw_size(rng)
    if rng.random() < pass_.sinc:
        return _sinc(size, rng.uniform(pi / 3 if size < 13 else pi / 5, pi))
    kind = KERNELS[rng.choice(len(pass_.kernels), p=pass_.kernels)]
    sigmas, angle = [rng.uniform(*pass_.sigma)] * 2, 0.0
    if kind.endswith("aniso"):
        sigmas[1], angle = rng.uniform(*pass_.sigma), rng.uniform(-pi, pi)
    x = np.arange(size) - size // 2
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    inverse = turned @ np.diag(1 / np.square(sigmas)) @ turned.T
    grid = np.stack(np.meshgrid(x, x), axis=-1)
    distance = np.sum((grid @ inverse) * grid, axis=-1)
    if kind.startswith("plateau"):
        kernel = 1 / (1 + distance ** _draw_beta(rng, pass_.beta_plateau))
    elif kind.startswith("generalized"):
        kernel = np.exp(-(distance ** _draw_beta(rng, pass_.beta_generalized)) / 2)
    else:
        kernel = np.exp(-distance / 2)
    return kernel / kernel.sum()


def _draw_size(rng: np.random.Generator) -> int:
    return 2 * int(rng.integers(3, 11)) + 1


def _draw_beta(rng: np.random.Generator, between: tuple[float, float]) -> float:
    return rng.uniform(between[0], 1) if rng.random() < 0.5 else rng.uniform(1, between[1])


def _sinc(size: int, cutoff: float) -> np.ndarray:
    x = np.arange(size) - size // 2
    z = cutoff * np.hypot(x[:, None], x[None, :])
    z[size // 2, size // 2] = 1e-6  # J1(z) / z is 1/2 there
    kernel = j1(z) / z
    return kernel / kernel.sum()


def _blurred(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT)


def _resized(rng: np.random.Generator, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(image, size[::-1], interpolation=_METHODS[rng.integers(3)])


def _gaussian_noise(
    rng: np.random.Generator, image: np.ndarray, pass_: Pass, grey: bool
) -> np.ndarray:
    shape = (*image.shape[:2], 1) if grey else image.shape
    deviation = np.float32(rng.uniform(*pass_.noise) / 255)
    return deviation * rng.standard_normal(shape, np.float32)


def _poisson_noise(
    rng: np.random.Generator, image: np.ndarray, pass_: Pass, grey: bool
) -> np.ndarray:
    counted = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None] if grey else image
    counted = np.float32(_levels(counted)) / 255
    white = 2 ** ceil(log2(len(np.unique(counted))))
    noise = rng.poisson(counted * white) / np.float32(white) - counted
    return np.float32(rng.uniform(*pass_.poisson) * noise)


def _coded(rng: np.random.Generator, image: np.ndarray, pass_: Pass) -> np.ndarray:
    worst, best = pass_.quality
    quality = int(rng.integers(worst, best + 1))
    _, file = cv2.imencode(".jpg", _levels(image), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.float32(cv2.imdecode(file, cv2.IMREAD_COLOR)) / 255


def _sharpened(image: np.ndarray) -> np.ndarray:
    residual = image - cv2.GaussianBlur(image, (51, 51), 0)
    mask = np.float32(np.abs(residual) * 255 > 10)
    share = cv2.GaussianBlur(mask, (51, 51), 0)
    return share * np.clip(image + 0.5 * residual, 0, 1) + (1 - share) * image


def _levels(image: np.ndarray) -> np.ndarray:
    return np.uint8(np.round(np.clip(image, 0, 1) * 255))

"""The bicubic figures everybody publishes: resize, rounding, Y, crop, PSNR and SSIM together."""

import jax
import numpy as np
import pytest

from jaxsr.imaging import metrics
from jaxsr.imaging.color import from_float, to_float
from jaxsr.imaging.files import list_pictures, read
from jaxsr.imaging.resize import resize


@jax.jit(static_argnames="crop")
def figures(sr, hr, crop):
    measures = (metrics.psnr, metrics.ssim)
    return [measure(sr[None], hr[None], crop=crop, luma=True)[0] for measure in measures]


def bicubic(image, size):
    return to_float(from_float(resize(image, size), np.uint8))


def evaluate(path, scale):
    pixels = read(path).pixels
    height, width = (n // scale * scale for n in pixels.shape[:2])
    hr = to_float(np.broadcast_to(pixels[:height, :width], (height, width, 3)))
    lr = bicubic(hr, (height // scale, width // scale))
    return figures(bicubic(lr, (height, width)), hr, crop=scale)


@pytest.mark.parametrize(
    "name, scale, psnr, ssim",
    [
        ("Set5", 4, 28.431, 0.8113),
        pytest.param("Set5", 2, 33.682, 0.9305, marks=pytest.mark.slow),
        ("Set14", 4, 26.092, 0.7050),
        pytest.param("Set14", 2, 30.330, 0.8700, marks=pytest.mark.slow),
    ],
)
def test_bicubic_on_the_standard_sets(data_dir, name, scale, psnr, ssim):
    paths = list_pictures(data_dir / name)
    mean = np.mean([evaluate(path, scale) for path in paths], axis=0)
    assert mean[0] == pytest.approx(psnr, abs=0.005)
    assert mean[1] == pytest.approx(ssim, abs=0.0005)

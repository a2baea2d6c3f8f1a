"""Makes kernels.npz: blur kernels and the sharpening of BasicSR 1.4.2.

Run by hand with torch, OpenCV and BasicSR 1.4.2: `python tests/parity/kernels.py`.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

# Of one kernel each: size, deviations, angle and, but for the Gaussian, beta.
SHAPES = [
    (7, 0.2, 0.2, 0.0, 0.5),
    (9, 0.6, 3.0, 0.3, 0.7),
    (13, 1.5, 1.5, -1.0, 2.0),
    (15, 2.9, 0.25, -2.2, 1.3),
    (19, 3.0, 2.0, 3.1, 4.0),
    (21, 5.0, 1.0, 0.8, 1.9),
]
# Sizes and cutoffs: Real-ESRGAN's widest range, its ends in the smallest and largest size.
SINCS = [(7, np.pi / 3), (7, np.pi), (9, 1.2), (11, 2.3), (13, np.pi / 5), (13, 3.0)]
SINCS += [(15, 1.7), (17, 0.9), (19, 2.6), (21, np.pi / 5), (21, np.pi)]


def picture(rng):
    """Blocks, a slope and noise, 36 x 40, from black to white: [H, W, 3] in levels of 255."""
    y, x = np.mgrid[:36, :40]
    blocks = np.where(((x // 13 + y // 9) % 2)[..., None], [250, 20, 128], [10, 90, 140])
    slope = np.stack([0 * x, 2 * x, 3 * y], -1)
    return np.clip(blocks + slope + rng.normal(0, 3, blocks.shape), 0, 255).astype(np.uint8)


def padded(kernel):
    return np.pad(kernel, (21 - len(kernel)) // 2).astype(np.float32)


def sharpened(image):
    import torch
    from basicsr.utils.img_process_util import USMSharp, filter2D

    sharpen, tensor = USMSharp(), torch.from_numpy(image.transpose(2, 0, 1)[None].copy())
    residual = 255 * (tensor - filter2D(tensor, sharpen.kernel)).abs()
    assert (residual - 10).abs().min() > 1e-3  # no pixel is chosen or not by a rounding
    assert 0.2 < (residual > 10).float().mean() < 0.8
    return sharpen(tensor)[0].numpy().transpose(1, 2, 0)


def main():
    # What BasicSR imports of torchvision has moved; nothing here calls it.
    sys.modules["torchvision.transforms.functional_tensor"] = SimpleNamespace(rgb_to_grayscale=None)
    from basicsr.data import degradations as basicsr

    plain = {"isotropic": False}
    made = {
        "gaussian": [basicsr.bivariate_Gaussian(*shape[:4], **plain) for shape in SHAPES],
        "generalized": [
            basicsr.bivariate_generalized_Gaussian(*shape, **plain) for shape in SHAPES
        ],
        "plateau": [basicsr.bivariate_plateau(*shape, **plain) for shape in SHAPES],
        "sinc": [basicsr.circular_lowpass_kernel(cutoff, size) for size, cutoff in SINCS],
    }
    arrays = {
        kind: np.stack([padded(kernel) for kernel in kernels]) for kind, kernels in made.items()
    }
    arrays["picture"] = picture(np.random.default_rng(7))
    arrays["usm"] = sharpened(arrays["picture"].astype(np.float32) / 255)
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()

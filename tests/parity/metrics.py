"""Makes metrics.npz: MS-SSIM by pytorch_msssim and SSIM by scikit-image, in float64.

Run by hand: `python tests/parity/metrics.py` with torch, pytorch_msssim 1.0 and scikit-image 0.26.
The test takes `pairs` from here.
"""

from pathlib import Path

import numpy as np


def pairs():
    """Five pairs of pictures of 163 x 170, odd at several scales of MS-SSIM: [N, H, W, C]."""
    golden = np.load(Path(__file__).with_name("basicsr_metrics.npz"))
    sr, hr = (np.tile(golden[n], (1, 5, 4, 1))[:, :163, :170] / 255 for n in ("sr", "hr"))
    sr[2] *= 0.8  # so that the luminance counts
    return sr, hr


def luma(image):
    return (image @ [65.481, 128.553, 24.966] + 16)[..., None] / 255


def ssim(x, y):
    """The valid part of what scikit-image gives with the window of Wang et al."""
    from skimage.metrics import structural_similarity

    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    options |= {"data_range": 1.0, "channel_axis": -1, "full": True}
    return structural_similarity(x, y, **options)[1][5:-5, 5:-5].mean()


def main():
    import torch
    from pytorch_msssim import ms_ssim

    sr, hr = pairs()
    arrays = {}
    for name, convert in (("rgb", lambda x: x), ("y", luma)):
        x, y = convert(sr), convert(hr)
        tensors = (torch.from_numpy(z.transpose(0, 3, 1, 2).copy()) for z in (x, y))
        arrays[f"ms_ssim/{name}"] = ms_ssim(*tensors, data_range=1, size_average=False).numpy()
        arrays[f"ssim/{name}"] = np.array([ssim(a, b) for a, b in zip(x, y, strict=True)])
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()

"""Makes basicsr_metrics.npz: PSNR and SSIM by BasicSR's numpy formulas, in float64.

Run by hand with numpy alone: `python tests/parity/basicsr_metrics.py`. Follows
basicsr/metrics/psnr_ssim.py (`calculate_psnr`, `calculate_ssim`, `_ssim`) and `bgr2ycbcr` of
basicsr/utils/color_util.py: levels of 0 to 255, a two-dimensional window, no rounding.
"""

from pathlib import Path

import numpy as np

CROPS = (0, 4)


def luma(image):
    return (np.dot(image / 255, [65.481, 128.553, 24.966]) + 16)[..., None]


def window():
    offsets = np.arange(11) - 5
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    return np.outer(line, line) / line.sum() ** 2


def blur(plane):
    patches = np.lib.stride_tricks.sliding_window_view(plane, (11, 11))
    return np.einsum("hwij,ij->hw", patches, window())


def ssim_plane(x, y):
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mu_x, mu_y = blur(x), blur(y)
    var_x, var_y = blur(x**2) - mu_x**2, blur(y**2) - mu_y**2
    covariance = blur(x * y) - mu_x * mu_y
    numerator = (2 * mu_x * mu_y + c1) * (2 * covariance + c2)
    return (numerator / ((mu_x**2 + mu_y**2 + c1) * (var_x + var_y + c2))).mean()


def figures(sr, hr, crop, use_luma):
    sr, hr = (x[crop : len(x) - crop, crop : x.shape[1] - crop] for x in (sr, hr))
    sr, hr = (x.astype(np.float64) for x in (sr, hr))
    if use_luma:
        sr, hr = luma(sr), luma(hr)
    psnr = 10 * np.log10(255**2 / np.mean((sr - hr) ** 2))
    return psnr, np.mean([ssim_plane(sr[..., c], hr[..., c]) for c in range(sr.shape[-1])])


def pictures(rng):
    """Pairs of 40 x 44 pictures, as levels: noise, smooth, nearly flat and bright, nearly equal."""
    y, x = np.mgrid[0:40, 0:44] / 40
    smooth = np.stack([np.sin(5 * x * y), x, np.cos(3 * x - 7 * y)], -1) * 110 + 128
    edges = np.where((np.floor(6 * x) + np.floor(5 * y))[..., None] % 2, smooth, 255 - smooth)
    flat = np.full((40, 44, 3), 247.0)
    noise = rng.standard_normal((40, 44, 3))
    hr = np.stack([rng.uniform(0, 255, flat.shape), smooth, edges, flat + noise / 2, smooth])
    blurred = (edges + np.roll(edges, 1, 0) + np.roll(edges, 1, 1)) / 3
    sr = np.stack(
        [rng.uniform(0, 255, flat.shape), smooth + 6 * noise, blurred, flat - noise, smooth]
    )
    sr[4, 20, 20] += 1
    return (np.clip(np.round(z), 0, 255).astype(np.uint8) for z in (sr, hr))


def main():
    sr, hr = pictures(np.random.default_rng(3))
    arrays = {"sr": sr, "hr": hr}
    for crop in CROPS:
        for name, use_luma in (("rgb", False), ("y", True)):
            pairs = [figures(a, b, crop, use_luma) for a, b in zip(sr, hr, strict=True)]
            arrays[f"psnr/{name}/{crop}"] = np.array([p for p, _ in pairs])
            arrays[f"ssim/{name}/{crop}"] = np.array([s for _, s in pairs])
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()

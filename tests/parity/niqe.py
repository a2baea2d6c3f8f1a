"""Makes niqe.npz: NIQE by BasicSR's calculate_niqe and by pyiqa.

Run by hand: `python tests/parity/niqe.py FOLDER...` with basicsr 1.4.2, pyiqa 0.1.16, torch and
Pillow; the folders are of Set5 and Set14, whose figures are stored by the names of the pictures.
pyiqa is given BasicSR's Y and its model. The test takes `picture` from here.
"""

import sys
from pathlib import Path

import numpy as np

CROP = 4


def picture(kind):
    """An uint8 picture of 200 x 300: noise of the spectrum of photographs, a part of it flat."""
    rng = np.random.RandomState(0)  # whose numbers never change
    noise = rng.standard_normal((200, 300, 3))
    y, x = np.meshgrid(np.fft.fftfreq(200), np.fft.fftfreq(300), indexing="ij")
    frequency = np.maximum(np.hypot(y, x), 1 / 300)[..., None]
    image = np.fft.ifft2(np.fft.fft2(noise, axes=(0, 1)) / frequency, axes=(0, 1)).real
    image = 128 + 50 * image / image.std()
    if kind == "flat":  # a block and more of it
        image[:130, :110] = 200
        image = np.where(image > 180, 200, image)
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def main():
    import basicsr.metrics.niqe as reference
    import torch
    from PIL import Image
    from pyiqa.archs.niqe_arch import calculate_niqe

    model = np.load(Path(reference.__file__).with_name("niqe_pris_params.npz"))
    mean, covariance = (
        torch.from_numpy(model[f"{name}_pris_param"].squeeze()) for name in ("mu", "cov")
    )

    def figures(image, crop):
        tensor = torch.from_numpy(image.transpose(2, 0, 1)[None].copy()).double() / 255
        theirs = calculate_niqe(tensor, crop, True, "ycbcr", mean, covariance)
        return reference.calculate_niqe(image[..., ::-1], crop), float(theirs)

    arrays = {kind: figures(picture(kind), CROP) for kind in ("textured", "flat")}
    for path in sorted(file for folder in sys.argv[1:] for file in Path(folder).glob("*.png")):
        arrays[path.name] = figures(np.asarray(Image.open(path).convert("RGB")), CROP)
    for name, (basicsr, pyiqa) in arrays.items():
        print(f"{name:16} {basicsr:.6f} {pyiqa:.6f}")
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()

"""Makes perceptual.npz: LPIPS and DISTS by their authors' programs, on weights made of a seed.

Run by hand: `python tests/parity/perceptual.py WEIGHTS`, with torch, torchvision (which gives the
networks, without weights), lpips 0.1.4 and DISTS_pytorch 0.1; WEIGHTS is a .safetensors file of
torchvision's AlexNet and the heads of LPIPS v0.1. The test takes `pairs` and `weights` from here.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np


def pairs():
    """Five pairs of pictures of 65 x 72, float32 [N, H, W, C] in [0, 1]."""
    golden = np.load(Path(__file__).with_name("basicsr_metrics.npz"))
    tiled = (np.tile(golden[name], (1, 2, 2, 1))[:, :65, :72] for name in ("sr", "hr"))
    return tuple(x.astype(np.float32) / np.float32(255) for x in tiled)


def weights(shapes):
    """Tensors of these shapes: kernels that keep the size of what they are given, small biases."""
    rng = np.random.RandomState(0)  # whose numbers never change
    tensors = {}
    for name, shape in sorted(shapes.items()):
        if name.endswith("bias"):
            low, high = -0.1, 0.1
        elif name.startswith("lin") or name in ("alpha", "beta"):
            low, high = 0, 1
        else:
            high = (6 / np.prod(shape[1:])) ** 0.5
            low = -high
        tensors[name] = rng.uniform(low, high, shape).astype(np.float32)
    return tensors


def shapes_of(model):
    """Those of the parameters, without the second names that `lpips` gives its heads."""
    named = model.named_parameters(remove_duplicate=False)
    return {name: list(p.shape) for name, p in named if not name.startswith("lins.")}


def in_torchvision(name):
    """The name of a tensor of `lpips` or DISTS where it stands apart from slices and stages."""
    return re.sub(r"^(net\.slice|stage)\d\.", "features.", name).replace("model.1.", "")


def figures(model, tensors, **options):
    import torch

    missing = model.load_state_dict({k: torch.from_numpy(v) for k, v in tensors.items()}, False)
    assert not missing.unexpected_keys, missing
    sr, hr = (torch.from_numpy(x.transpose(0, 3, 1, 2).copy()) for x in pairs())
    with torch.no_grad():
        return model.double()(sr.double(), hr.double(), **options).numpy().reshape(-1)


def main():
    import lpips
    import torchvision
    from DISTS_pytorch import DISTS
    from safetensors.numpy import load_file

    arrays = {}
    for net in ("alex", "vgg", "squeeze"):
        model = lpips.LPIPS(pretrained=False, pnet_rand=True, net=net)
        shapes = shapes_of(model)
        arrays[f"shapes/{net}"] = json.dumps(shapes)
        arrays[f"lpips/{net}"] = figures(model, weights(shapes), normalize=True)
    model = lpips.LPIPS(pretrained=False, pnet_rand=True, net="alex")
    theirs = load_file(sys.argv[1])
    trained = {name: theirs[in_torchvision(name)] for name in shapes_of(model)}
    arrays["lpips/trained"] = figures(model, trained, normalize=True)
    vgg16 = torchvision.models.vgg16
    torchvision.models.vgg16 = lambda pretrained: vgg16()  # which DISTS would download
    model = DISTS(load_weights=False)
    shapes = shapes_of(model)
    arrays["shapes/dists"] = json.dumps(shapes)
    arrays["dists"] = figures(model, weights(shapes))
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()

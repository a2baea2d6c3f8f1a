"""Makes real_networks.npz: what published weights make of a photograph, in PyTorch.

Run by hand with the folder of test data and scikit-image's photograph of a cat:
`python tests/parity/real_networks.py DATA chelsea.png`. The network is the RRDBNet of networks.py,
whose names are BasicSR's, in float64. Of the output every third row and column is kept, which
meets every phase of the enlargement and all borders. The ncnn file is read here on its own: its
convolutions lie in the order in which they are used.
"""

import struct
import sys
from pathlib import Path

import numpy as np
import torch
from networks import RRDBNet
from PIL import Image

HALF = 0x01306B47  # stands before weights in float16


def from_pth(path, net):
    net.load_state_dict(torch.load(path, weights_only=True)["params_ema"])
    return net


def from_bin(path, net):
    content, at = path.read_bytes(), 0
    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d):
            (flag,) = struct.unpack_from("<I", content, at)
            assert flag == HALF
            count, outputs = layer.weight.numel(), layer.bias.numel()
            weight = np.frombuffer(content, "<f2", count, at + 4)
            at += 4 + -(-2 * count // 4) * 4
            bias = np.frombuffer(content, "<f4", outputs, at)
            at += 4 * outputs
            layer.weight.data = torch.tensor(weight.astype(np.float32)).view_as(layer.weight)
            layer.bias.data = torch.tensor(bias)
    assert at == len(content)
    return net


def main(data, photograph):
    foreign = Path(data) / "weights" / "foreign"
    x = np.asarray(Image.open(photograph).convert("RGB"))[100:124, 150:174]
    nets = {
        "x4plus_anime": from_pth(foreign / "realesrgan-x4plus-anime.pth", RRDBNet(3, 64, 6, 32)),
        "x4plus": from_bin(foreign / "realesrgan-x4plus.bin", RRDBNet(3, 64, 23, 32)),
    }
    arrays = {"x": x}
    pixels = torch.tensor(x).permute(2, 0, 1)[None].double() / 255
    for name, net in nets.items():
        with torch.no_grad():
            y = net.double()(pixels)[0].permute(1, 2, 0).numpy()
        print(name, y.shape, f"{y.min():.3f} to {y.max():.3f}")
        arrays[name] = y[::3, ::3].astype(np.float32)
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])

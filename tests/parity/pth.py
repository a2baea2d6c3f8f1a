"""Makes pth.npz: files that PyTorch wrote, as bytes, and the arrays that they hold.

Run by hand where PyTorch 2 is installed: `python tests/parity/pth.py`. The names of the files say
their format: zip, zip with pickle protocol 4, and that of PyTorch before 1.6.
"""

import collections
import io
from pathlib import Path

import numpy as np
import torch

FORMATS = {
    "zip": {},
    "protocol4": {"pickle_protocol": 4},
    "legacy": {"_use_new_zipfile_serialization": False},
}
DTYPES = ("float32", "float16", "float64", "bfloat16", "int8", "int16", "int32", "int64", "uint8")


def tensors():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3)).state_dict()
    every = {name: (torch.randn(2, 3) * 50).to(getattr(torch, name)) for name in DTYPES}
    plane = torch.arange(24.0).reshape(4, 6)
    views = {"whole": plane, "part": plane[1:3, 2::2], "turned": plane.T, "row": plane[3]}
    single = {"bool": torch.tensor([True, False]), "scalar": torch.tensor(7), "none": plane[:0]}
    return net, every | views | single | {"parameter": torch.nn.Parameter(torch.ones(3))}


def plain(tensor):
    tensor = tensor.detach()
    return tensor.view(torch.int16).numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()


net, others = tensors()
others_of = collections.OrderedDict(others)
checkpoint = {"params": net, "others": others_of, "epoch": 3, "steps": [1, 2**40, -5], 7: None}
checkpoint["scores"] = (0.25, True, "ünï")
arrays = {f"value/{name}": plain(tensor) for name, tensor in (net | others).items()}
for name, options in FORMATS.items():
    stream = io.BytesIO()
    torch.save(checkpoint, stream, **options)
    arrays[f"file/{name}"] = np.frombuffer(stream.getvalue(), np.uint8)
np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)

"""Golden arrays of the published networks, made with PyTorch: `python tests/parity/networks.py`.

The networks are written out here in torch.nn from their publications and BasicSR's / Real-ESRGAN's
state-dict names, at toy width. Weights and pictures are rounded to what float16 holds, stored so,
and run in float64; so the outputs are right to float32's precision.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm

arrays: dict[str, np.ndarray] = {}


def conv(inputs, outputs, size=3, stride=1, bias=True):
    return nn.Conv2d(inputs, outputs, size, stride, (size - 1) // 2, bias=bias)


def deconv(inputs, outputs, bias=True):
    return nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=bias)


def bilinear(x, scale):
    return F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)


class ResidualBlock(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.conv1, self.conv2 = conv(f, f), conv(f, f)

    def forward(self, x):
        return x + self.conv2(F.relu(self.conv1(x)))


class MSRResNet(nn.Module):
    def __init__(self, c, f, blocks, scale):
        super().__init__()
        self.scale, self.r = scale, 2 if scale == 4 else scale
        self.conv_first = conv(c, f)
        self.body = nn.Sequential(*[ResidualBlock(f) for _ in range(blocks)])
        self.upconv1 = conv(f, f * self.r**2)
        if scale == 4:
            self.upconv2 = conv(f, f * 4)
        self.conv_hr, self.conv_last = conv(f, f), conv(f, c)

    def forward(self, x):
        y = self.body(F.leaky_relu(self.conv_first(x), 0.1))
        y = F.leaky_relu(F.pixel_shuffle(self.upconv1(y), self.r), 0.1)
        if self.scale == 4:
            y = F.leaky_relu(F.pixel_shuffle(self.upconv2(y), 2), 0.1)
        y = self.conv_last(F.leaky_relu(self.conv_hr(y), 0.1))
        return y + bilinear(x, self.scale)


class NormedBlock(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.conv1, self.bn1, self.act = conv(f, f, bias=False), nn.BatchNorm2d(f), nn.PReLU()
        self.conv2, self.bn2 = conv(f, f, bias=False), nn.BatchNorm2d(f)

    def forward(self, x):
        return x + self.bn2(self.conv2(self.act(self.bn1(self.conv1(x)))))


class SRResNet(nn.Module):
    """SRGAN's generator, x4; `body`, `upconv` and `act_up` are lists, the other names are ours."""

    def __init__(self, c, f, blocks):
        super().__init__()
        self.conv_first, self.act_first = conv(c, f, 9), nn.PReLU()
        self.body = nn.Sequential(*[NormedBlock(f) for _ in range(blocks)])
        self.conv_body, self.bn_body = conv(f, f, bias=False), nn.BatchNorm2d(f)
        self.upconv1, self.act_up1 = conv(f, 4 * f), nn.PReLU()
        self.upconv2, self.act_up2 = conv(f, 4 * f), nn.PReLU()
        self.conv_last = conv(f, c, 9)

    def forward(self, x):
        first = self.act_first(self.conv_first(x))
        y = first + self.bn_body(self.conv_body(self.body(first)))
        y = self.act_up1(F.pixel_shuffle(self.upconv1(y), 2))
        y = self.act_up2(F.pixel_shuffle(self.upconv2(y), 2))
        return self.conv_last(y)


class DenseBlock(nn.Module):
    def __init__(self, f, g, plus):
        super().__init__()
        self.conv1x1 = conv(f, g, 1, bias=False) if plus else None
        for i in range(1, 6):
            setattr(self, f"conv{i}", conv(f + (i - 1) * g, f if i == 5 else g))

    def forward(self, x):
        maps = [x]
        for i in range(1, 5):
            y = F.leaky_relu(getattr(self, f"conv{i}")(torch.cat(maps, 1)), 0.2)
            if self.conv1x1 and i == 2:
                y = y + self.conv1x1(x)
            if self.conv1x1 and i == 4:
                y = y + maps[2]
            maps.append(y)
        return 0.2 * self.conv5(torch.cat(maps, 1)) + x


class RRDB(nn.Module):
    def __init__(self, f, g, plus):
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(f, g, plus) for _ in range(3))

    def forward(self, x):
        return 0.2 * self.rdb3(self.rdb2(self.rdb1(x))) + x


class RRDBNet(nn.Module):
    def __init__(self, c, f, blocks, g, ups=2, unshuffle=1, plus=False):
        super().__init__()
        self.ups, self.unshuffle = ups, unshuffle
        self.conv_first = conv(c * unshuffle**2, f)
        self.body = nn.Sequential(*[RRDB(f, g, plus) for _ in range(blocks)])
        self.conv_body = conv(f, f)
        for i in range(1, 1 + ups):
            setattr(self, f"conv_up{i}", conv(f, f))
        self.conv_hr, self.conv_last = conv(f, f), conv(f, c)

    def forward(self, x):
        y = self.conv_first(F.pixel_unshuffle(x, self.unshuffle))
        y = y + self.conv_body(self.body(y))
        for i in range(1, 1 + self.ups):
            y = F.interpolate(y, scale_factor=2, mode="nearest")
            y = F.leaky_relu(getattr(self, f"conv_up{i}")(y), 0.2)
        return self.conv_last(F.leaky_relu(self.conv_hr(y), 0.2))


class OldDenseBlock(nn.Module):
    """The first BasicSR's, whose convolutions lie in sequences with their activations."""

    def __init__(self, f, g, plus):
        super().__init__()
        self.conv1x1 = conv(f, g, 1, bias=False) if plus else None
        for i in range(1, 5):
            layers = [conv(f + (i - 1) * g, g), nn.LeakyReLU(0.2)]
            setattr(self, f"conv{i}", nn.Sequential(*layers))
        self.conv5 = nn.Sequential(conv(f + 4 * g, f))

    def forward(self, x):
        x1 = self.conv1(x)
        x2 = self.conv2(torch.cat((x, x1), 1))
        x2 = x2 + self.conv1x1(x) if self.conv1x1 else x2
        x3 = self.conv3(torch.cat((x, x1, x2), 1))
        x4 = self.conv4(torch.cat((x, x1, x2, x3), 1))
        x4 = x4 + x2 if self.conv1x1 else x4
        return 0.2 * self.conv5(torch.cat((x, x1, x2, x3, x4), 1)) + x


class OldRRDB(nn.Module):
    def __init__(self, f, g, plus):
        super().__init__()
        self.RDB1, self.RDB2, self.RDB3 = (OldDenseBlock(f, g, plus) for _ in range(3))

    def forward(self, x):
        return 0.2 * self.RDB3(self.RDB2(self.RDB1(x))) + x


class Shortcut(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.sub = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.sub(x)


class OldRRDBNet(nn.Module):
    """The first BasicSR's and community models': one sequence, whose places are the names."""

    def __init__(self, c, f, blocks, g, ups, plus=False):
        super().__init__()
        trunk = Shortcut(*[OldRRDB(f, g, plus) for _ in range(blocks)], conv(f, f))
        enlarging = []
        for _ in range(ups):
            enlarging += [nn.Upsample(scale_factor=2), conv(f, f), nn.LeakyReLU(0.2)]
        last = (conv(f, f), nn.LeakyReLU(0.2), conv(f, c))
        self.model = nn.Sequential(conv(c, f), trunk, *enlarging, *last)

    def forward(self, x):
        return self.model(x)


class Compact(nn.Module):
    def __init__(self, c, f, convs, scale):
        super().__init__()
        self.scale = scale
        layers = [conv(c, f), nn.PReLU(f)]
        for _ in range(convs):
            layers += [conv(f, f), nn.PReLU(f)]
        self.body = nn.ModuleList([*layers, conv(f, c * scale**2)])

    def forward(self, x):
        y = x
        for layer in self.body:
            y = layer(y)
        return F.pixel_shuffle(y, self.scale) + F.interpolate(x, scale_factor=self.scale)


class EDSR(nn.Module):
    """BasicSR's; `conv_body` is its `conv_after_body`, and `upconv` its `upsample`."""

    def __init__(self, c, f, blocks, scale, res_scale, mean):
        super().__init__()
        self.res_scale, self.mean = res_scale, torch.tensor(mean).double().view(1, -1, 1, 1)
        self.conv_first = conv(c, f)
        self.body = nn.Sequential(*[ResidualBlock(f) for _ in range(blocks)])
        self.conv_body = conv(f, f)
        self.factors = {1: (), 2: (2,), 3: (3,), 4: (2, 2)}[scale]
        for i, factor in enumerate(self.factors, 1):
            setattr(self, f"upconv{i}", conv(f, f * factor**2))
        self.conv_last = conv(f, c)

    def forward(self, x):
        first = y = self.conv_first((x - self.mean) * 255)
        for block in self.body:
            y = y + block.conv2(F.relu(block.conv1(y))) * self.res_scale
        y = self.conv_body(y) + first
        for i, factor in enumerate(self.factors, 1):
            y = F.pixel_shuffle(getattr(self, f"upconv{i}")(y), factor)
        return self.conv_last(y) / 255 + self.mean


class ESPCN(nn.Module):
    def __init__(self, c, f, scale, kernels, activate):
        super().__init__()
        self.scale, self.activate = scale, activate
        self.conv_first, self.conv_body = conv(c, f, kernels[0]), conv(f, f // 2, kernels[1])
        self.conv_last = conv(f // 2, c * scale**2, kernels[2])

    def forward(self, x):
        y = self.activate(self.conv_body(self.activate(self.conv_first(x))))
        return F.pixel_shuffle(self.conv_last(y), self.scale)


class ConcatBlock(nn.Module):
    def __init__(self, inputs, f):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, f), nn.BatchNorm2d(f)
        self.conv2, self.bn2 = conv(f, f), nn.BatchNorm2d(f)

    def forward(self, x):
        y = self.bn1(F.leaky_relu(self.conv1(x), 0.2))
        return torch.cat([self.bn2(F.leaky_relu(self.conv2(y), 0.2)), x], 1)


class ConcatNet(nn.Module):
    """System A."""

    def __init__(self, c, f, blocks, scale):
        super().__init__()
        self.scale, self.conv_first = scale, conv(c, f)
        self.body = nn.Sequential(*[ConcatBlock((i + 1) * f, f) for i in range(blocks)])
        self.conv_last = conv((blocks + 2) * f, c)

    def forward(self, x):
        shallow = self.conv_first(x)
        maps = [shallow, self.body(shallow)]
        maps = [F.interpolate(y, scale_factor=self.scale, mode="nearest") for y in maps]
        return self.conv_last(torch.cat(maps, 1)) + bilinear(x, self.scale)


class EncDec(nn.Module):
    """System B, x2."""

    def __init__(self, c, f):
        super().__init__()
        self.conv1, self.conv2 = conv(c, f), conv(f, 2 * f)
        self.deconv1, self.deconv2 = deconv(2 * f, 2 * f), deconv(2 * f, f)
        self.deconv_last = deconv(f, c)

    def forward(self, x):
        height, width = x.shape[2:]
        x = F.pad(x, (0, -width % 4, 0, -height % 4), mode="reflect")
        y = F.max_pool2d(F.relu(self.conv1(x)), 2)
        y = F.max_pool2d(F.relu(self.conv2(y)), 2)
        y = self.deconv_last(F.relu(self.deconv2(F.relu(self.deconv1(y)))))
        return (y + bilinear(x, 2))[:, :, : 2 * height, : 2 * width]


class Restore(nn.Module):
    """System D."""

    def __init__(self, c, f):
        super().__init__()
        self.conv_extract, self.bn_extract = conv(c, f), nn.BatchNorm2d(f)
        self.conv_enhance_0, self.bn_enhance_0 = conv(f, f), nn.BatchNorm2d(f)
        self.conv_restore, self.bn_restore = conv(f, f // 2), nn.BatchNorm2d(f // 2)
        self.conv_last = conv(f // 2, c)

    def forward(self, x):
        y = self.bn_extract(F.leaky_relu(self.conv_extract(x), 0.2))
        y = self.bn_enhance_0(F.leaky_relu(self.conv_enhance_0(y), 0.2))
        y = self.bn_restore(F.leaky_relu(self.conv_restore(y), 0.2))
        return (torch.tanh(self.conv_last(y)) + 1) / 2


class DCGAN(nn.Module):
    """DCGAN's generator of 16 pixels."""

    def __init__(self, c, latent, f):
        super().__init__()
        self.linear, self.bn0 = nn.Linear(latent, 32 * f, bias=False), nn.BatchNorm2d(2 * f)
        self.deconv1, self.bn1 = deconv(2 * f, f, bias=False), nn.BatchNorm2d(f)
        self.deconv_last = deconv(f, c)

    def forward(self, z):
        # Rows, columns, channels: the names and the order of what a linear layer gives are ours.
        y = self.linear(z).unflatten(1, (4, 4, -1)).permute(0, 3, 1, 2)
        y = F.relu(self.bn1(self.deconv1(F.relu(self.bn0(y)))))
        return (torch.tanh(self.deconv_last(y)) + 1) / 2


class VGGStyle(nn.Module):
    def __init__(self, c, f):
        super().__init__()
        self.conv0_0, self.conv0_1 = conv(c, f), conv(f, f, 4, 2, bias=False)
        self.bn0_1 = nn.BatchNorm2d(f)
        widths = [f, 2 * f, 4 * f, 8 * f, 8 * f]
        for s in range(1, 5):
            setattr(self, f"conv{s}_0", conv(widths[s - 1], widths[s], bias=False))
            setattr(self, f"conv{s}_1", conv(widths[s], widths[s], 4, 2, bias=False))
            setattr(self, f"bn{s}_0", nn.BatchNorm2d(widths[s]))
            setattr(self, f"bn{s}_1", nn.BatchNorm2d(widths[s]))
        self.linear1, self.linear2 = nn.Linear(8 * f * 16, 100), nn.Linear(100, 1)

    def forward(self, x):
        y = F.leaky_relu(self.conv0_0(x), 0.2)
        names = ["0_1"] + [f"{s}_{i}" for s in range(1, 5) for i in (0, 1)]
        for name in names:
            y = getattr(self, f"bn{name}")(getattr(self, f"conv{name}")(y))
            y = F.leaky_relu(y, 0.2)
        return self.linear2(F.leaky_relu(self.linear1(y.flatten(1)), 0.2))


class SRGANDiscriminator(nn.Module):
    """SRGAN's, for crops of 96; names are ours."""

    def __init__(self, c, f):
        super().__init__()
        widths, strides = [f, f, 2 * f, 2 * f, 4 * f, 4 * f, 8 * f, 8 * f], [1, 2] * 4
        for i in range(8):
            inputs = widths[i - 1] if i else c
            setattr(self, f"conv{i}", conv(inputs, widths[i], 3, strides[i], bias=i == 0))
            if i:
                setattr(self, f"bn{i}", nn.BatchNorm2d(widths[i]))
        self.pool = nn.AdaptiveAvgPool2d(6)
        self.linear1, self.linear2 = nn.Linear(8 * f * 36, 16 * f), nn.Linear(16 * f, 1)

    def forward(self, x):
        y = F.leaky_relu(self.conv0(x), 0.2)
        for i in range(1, 8):
            y = F.leaky_relu(getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y)), 0.2)
        return self.linear2(F.leaky_relu(self.linear1(self.pool(y).flatten(1)), 0.2))


class FourConvs(nn.Module):
    """System C's discriminator, pooled to 6x6 as SRGAN's."""

    def __init__(self, c, f):
        super().__init__()
        self.conv0, self.conv1 = conv(c, f), conv(f, f, 3, 2)
        self.conv2, self.conv3 = conv(f, 2 * f), conv(2 * f, 2 * f, 3, 2)
        self.linear1, self.linear2 = nn.Linear(2 * f * 36, 16 * f), nn.Linear(16 * f, 1)

    def forward(self, x):
        y = x
        for layer in (self.conv0, self.conv1, self.conv2, self.conv3):
            y = F.leaky_relu(layer(y), 0.2)
        y = F.adaptive_avg_pool2d(y, 6).flatten(1)
        return self.linear2(F.leaky_relu(self.linear1(y), 0.2))


class Patch(nn.Module):
    """pix2pix's NLayerDiscriminator, `model.N` named by its kind and number."""

    def __init__(self, c, f, layers, norm):
        super().__init__()
        self.layers, widths = layers, [f * min(2**i, 8) for i in range(layers + 1)]
        self.conv0 = conv(c, f, 4, 2)
        for i in range(1, layers + 1):
            stride = 2 if i < layers else 1
            setattr(self, f"conv{i}", conv(widths[i - 1], widths[i], 4, stride, bias=not norm))
            setattr(self, f"bn{i}", nn.BatchNorm2d(widths[i]) if norm else nn.Identity())
        self.conv_last = conv(widths[layers], 1, 4)

    def forward(self, x):
        y = F.leaky_relu(self.conv0(x), 0.2)
        for i in range(1, self.layers + 1):
            y = F.leaky_relu(getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y)), 0.2)
        return self.conv_last(y)


class Strided(nn.Module):
    """System D's discriminator, pooled over the whole picture instead of flattened."""

    def __init__(self, c, features):
        super().__init__()
        for i, (inputs, outputs) in enumerate(zip((c, *features), features, strict=False)):
            setattr(self, f"conv{i}", conv(inputs, outputs, 3, 2, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(outputs))
        self.linear = nn.Linear(features[-1], 1)

    def forward(self, x):
        y = F.leaky_relu(self.bn0(self.conv0(x)), 0.2)
        y = F.leaky_relu(self.bn1(self.conv1(y)), 0.2)
        return self.linear(y.mean((2, 3)))


class DCGANDiscriminator(nn.Module):
    """DCGAN's for 16 pixels."""

    def __init__(self, c, f):
        super().__init__()
        self.conv0, self.conv1 = conv(c, f, 4, 2), conv(f, 2 * f, 4, 2, bias=False)
        self.bn1, self.linear = nn.BatchNorm2d(2 * f), nn.Linear(2 * f * 16, 1)

    def forward(self, x):
        y = F.leaky_relu(self.conv0(x), 0.2)
        y = F.leaky_relu(self.bn1(self.conv1(y)), 0.2)
        return self.linear(y.flatten(1))


class UNet(nn.Module):
    def __init__(self, c, f):
        super().__init__()
        self.conv0, self.conv9 = conv(c, f), conv(f, 1)
        shapes = [
            (1, 2, 4, 2),
            (2, 4, 4, 2),
            (4, 8, 4, 2),
            (8, 4, 3, 1),
            (4, 2, 3, 1),
            (2, 1, 3, 1),
        ]
        for i, (a, b, size, stride) in enumerate([*shapes, (1, 1, 3, 1), (1, 1, 3, 1)], 1):
            layer = conv(a * f, b * f, size, stride, bias=False)
            setattr(self, f"conv{i}", spectral_norm(layer))

    def forward(self, x):
        x0 = F.leaky_relu(self.conv0(x), 0.2)
        x1 = F.leaky_relu(self.conv1(x0), 0.2)
        x2 = F.leaky_relu(self.conv2(x1), 0.2)
        y = F.leaky_relu(self.conv3(x2), 0.2)
        y = F.leaky_relu(self.conv4(bilinear(y, 2)), 0.2) + x2
        y = F.leaky_relu(self.conv5(bilinear(y, 2)), 0.2) + x1
        y = F.leaky_relu(self.conv6(bilinear(y, 2)), 0.2) + x0
        y = F.leaky_relu(self.conv8(F.leaky_relu(self.conv7(y), 0.2)), 0.2)
        return self.conv9(y)


class VGG(nn.Module):
    """VGG16 or VGG19 without the last pooling, in torchvision's order of layers."""

    def __init__(self, blocks, widths):
        super().__init__()
        layers, inputs = [], 3
        for count, width in zip(blocks, widths, strict=True):
            for _ in range(count):
                layers += [conv(inputs, width), nn.ReLU()]
                inputs = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers[:-1])


def rounded(x):
    """Five significant bits, which float16 holds: the file then compresses well."""
    mantissa, exponent = torch.frexp(x.double())
    return torch.ldexp((mantissa * 32).round() / 32, exponent)


def picture(*shape):
    return (torch.rand(shape) * 16).round().double() / 16


def prepare(net, x, passes):
    """Give parameters and statistics values that show in the output, near a trained network's."""
    net = net.double().train()
    with torch.no_grad():
        for name, value in net.named_parameters():
            if value.ndim == 1 and name.endswith("weight"):
                value.uniform_(0.3, 1.5)
            elif value.ndim == 1:
                value.uniform_(-0.5, 0.5)
            else:
                value.mul_(1.7)  # nearer to keeping the variance, so that deep layers matter
        for _ in range(passes):
            net(x)
        for name, value in net.state_dict().items():
            if "running" in name:
                value.mul_(torch.empty_like(value).uniform_(0.6, 1.4))
            if value.is_floating_point():
                value.copy_(rounded(value))
    return net


def keep(case, **values):
    for name, value in values.items():
        value = value.detach()
        kind = np.float16 if torch.equal(rounded(value), value) else np.float32
        arrays[f"{case}/{name}"] = value.numpy().astype(kind)


def keep_state(case, name, state):
    """Store a state dict as one vector, and its names and shapes as lines of text."""
    state = {k: v for k, v in state.items() if v.is_floating_point()}
    keep(case, **{name: torch.cat([value.flatten() for value in state.values()])})
    lines = [" ".join([k, *map(str, v.shape)]) for k, v in state.items()]
    arrays[f"{case}/{name}_layout"] = np.array("\n".join(lines))


def record(case, net, x, *, passes=0):
    """Store weights, input, output and its gradient, and where it differs all this for train mode.

    The gradient is that of the output's sum of squares by the input.
    """
    net = prepare(net, x, passes).eval()
    x.requires_grad_()
    y = net(x)
    (gradient,) = torch.autograd.grad(y.square().sum(), x)
    keep_state(case, "weights", net.state_dict())
    keep(case, x=x, y=y)
    if x.numel() < 1000:
        keep(case, gradient=gradient)
    if passes:
        keep(case, y_train=net.train()(x))
        statistics = ("running_mean", "running_var", "_u", "_v")
        after = {k: v for k, v in net.state_dict().items() if k.endswith(statistics)}
        keep_state(case, "stats_after", after)


def record_vgg(case, blocks):
    x = picture(2, 3, 21, 19)
    net = prepare(VGG(blocks, (4, 4, 4, 4, 4)), x, 0)
    keep_state(case, "weights", net.state_dict())
    keep(case, x=x)
    mean = torch.tensor([0.485, 0.456, 0.406]).double().view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).double().view(1, 3, 1, 1)
    y = (x - mean) / std
    names = iter([f"{b}_{i}" for b, n in enumerate(blocks, 1) for i in range(1, n + 1)])
    for layer in net.features:
        y = layer(y)
        if isinstance(layer, nn.Conv2d):
            name = next(names)
        kind = {nn.Conv2d: "conv", nn.ReLU: "relu", nn.MaxPool2d: "pool"}[type(layer)] + name
        if kind in ("conv1_2", "conv3_3", "conv4_1", f"conv5_{blocks[4]}", f"relu5_{blocks[4]}"):
            keep(case, **{kind: y})


def record_layers():
    x = picture(2, 18, 5, 3)
    wide = picture(1, 2, 6, 12)
    keep("layers", x=x, shuffle2=F.pixel_shuffle(x[:, :12], 2), shuffle3=F.pixel_shuffle(x, 3))
    keep("layers", wide=wide, unshuffle3=F.pixel_unshuffle(wide, 3))
    for factor in (2, 3, 4):
        keep("layers", **{f"bilinear{factor}": bilinear(x[:, :2], factor)})
    for size in (2, 4, 7):
        keep("layers", **{f"pool{size}": F.adaptive_avg_pool2d(x, size)})


def record_deconv():
    layer, x = deconv(3, 2).double(), picture(2, 3, 5, 4)
    with torch.no_grad():
        for value in layer.parameters():
            value.copy_(rounded(value))
    keep("deconv", x=x, weight=layer.weight, bias=layer.bias, y=layer(x))


def record_published():
    for scale in (3, 4):
        record(f"msrresnet_x{scale}", MSRResNet(3, 4, 2, scale), picture(2, 3, 7, 5))
    record("srresnet_x4", SRResNet(3, 4, 2), picture(2, 3, 7, 5), passes=30)
    for scale, size in ((4, (7, 5)), (2, (10, 6)), (1, (12, 8))):
        net = RRDBNet(3, 4, 2, 2, unshuffle=4 // scale)
        record(f"rrdbnet_x{scale}", net, picture(1, 3, *size))
    for scale in (2, 4):
        record(f"compact_x{scale}", Compact(3, 4, 2, scale), picture(1, 3, 7, 5))
    record("vgg_style", VGGStyle(1, 1), picture(2, 1, 128, 128), passes=30)
    record("srgan", SRGANDiscriminator(3, 1), picture(3, 3, 45, 50), passes=30)
    # Few passes: u and v must not have converged, or a missing iteration would not show.
    record("unet", UNet(3, 2), picture(2, 3, 16, 24), passes=3)
    record_vgg("vgg19", (2, 2, 4, 4, 4))
    record_vgg("vgg16", (2, 2, 3, 3, 3))


def record_systems():
    rgb = (0.4488, 0.4371, 0.4040)
    record("edsr_x4", EDSR(3, 4, 2, 4, 0.5, rgb), picture(1, 3, 5, 4))
    record("edsr_x3", EDSR(1, 4, 1, 3, 1, (sum(rgb) / 3,)), picture(1, 1, 7, 5))
    record("espcn_x3", ESPCN(3, 4, 3, (5, 3, 3), torch.tanh), picture(1, 3, 7, 5))
    record("espcn_relu_x2", ESPCN(3, 4, 2, (9, 1, 3), F.relu), picture(1, 3, 7, 5))
    record("concat_x2", ConcatNet(3, 4, 2, 2), picture(2, 3, 7, 5), passes=30)
    record("encdec_x2", EncDec(3, 4), picture(1, 3, 7, 5))
    record("restore", Restore(1, 4), picture(2, 1, 7, 5), passes=30)
    record("dcgan_g", DCGAN(1, 5, 2), picture(3, 5), passes=30)
    record("srgan_c", FourConvs(3, 1), picture(1, 3, 24, 21))
    record("patch", Patch(3, 2, 3, True), picture(2, 3, 29, 32), passes=30)
    record("patch_b", Patch(3, 2, 1, False), picture(1, 3, 12, 11))
    record("strided", Strided(1, (3, 4)), picture(2, 1, 12, 11), passes=30)
    record("dcgan_d", DCGANDiscriminator(3, 2), picture(3, 3, 16, 16), passes=30)


def record_community():
    """Variants of RRDBNet that community models are, in new names and in old ones."""
    record("rrdbnet_plus_x2", RRDBNet(3, 3, 1, 1, ups=1, plus=True), picture(1, 3, 7, 5))
    record("old_plus_x4", OldRRDBNet(3, 3, 1, 1, 2, plus=True), picture(1, 3, 4, 5))
    for ups, size in ((0, (7, 5)), (1, (7, 5)), (3, (2, 3))):
        record(f"old_x{2**ups}", OldRRDBNet(3, 3, 1, 1, ups), picture(1, 3, *size))


def main():
    torch.manual_seed(0)
    record_published()
    record_layers()
    record_systems()
    record_deconv()
    record_community()
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()

"""Receptive fields against arithmetic by hand, and against gradients."""

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from unitscope.networks.receptive_fields import Field, find_fields


def caffe_alexnet() -> nn.Sequential:
    """The geometry of AlexNet as in Caffe: no padding in conv1 and the pools; few channels."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 11, 4),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(4, 4, 5, padding=2),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Conv2d(4, 4, 3, padding=1),
    )


def square(step: float, center: float) -> Field:
    return Field((float(step),) * 2, (float(center),) * 2)


def test_alexnet_conv5_lies_at_17_and_every_16_pixels() -> None:
    # conv1: 11, 4; pool1: 19, 8; conv2: 51 from -16; pool2: 67 from -16, 16; conv3-5: 163 from -64.
    # center: -64 + 163 // 2 = 17, the last of 13 at 209 = 226 - 17.
    fields = find_fields(caffe_alexnet(), ["0", "1", "3", "6"], (227, 227))
    assert fields == {"0": square(4, 5), "1": square(8, 9), "3": square(16, 17), "6": square(16, 17)}


def test_vgg_conv5_3_steps_by_16() -> None:
    layers: list[nn.Module] = []
    for block, convolutions in enumerate((2, 2, 3, 3, 3)):
        layers += [nn.Conv2d(3 if not layers else 2, 2, 3, padding=1)]
        layers += [nn.Conv2d(2, 2, 3, padding=1) for _ in range(convolutions - 1)]
        layers += [nn.MaxPool2d(2, 2)] if block < 4 else []
    name = str(len(layers) - 1)
    # Cells of four 2x2 pools: 16 pixels from 0, whose center 7.5 the released code rounds up.
    assert find_fields(nn.Sequential(*layers), [name], (64, 64)) == {name: square(16, 8)}


def test_padded_resnet_starts_near_the_corner() -> None:
    module = torchvision.models.resnet18(weights=None)
    fields = find_fields(module, ["layer1", "layer4", "avgpool", "fc"], (128, 128))
    assert fields == {"layer1": square(4, 0), "layer4": square(32, 0)}


def test_same_padding_of_tensorflow_is_larger_behind() -> None:
    class Same(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(functional.pad(x, (0, 1, 0, 1)))

    # 16 pixels, 8 cells, 3x3 windows: one pixel of padding in all, half of it rounded down in front.
    assert find_fields(nn.Sequential(Same(3, 2, 3, 2)), ["0"], (16, 16)) == {"0": square(2, 1)}


def test_padding_inside_a_convolution_counts_once() -> None:
    class Static(nn.Conv2d):
        def __init__(self) -> None:
            super().__init__(3, 2, 5, 2)
            self.static_padding = nn.ZeroPad2d((1, 2, 1, 2))

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(self.static_padding(x))

    assert find_fields(nn.Sequential(Static()), ["0"], (16, 16)) == {"0": square(2, 1)}


def test_padding_modules_shift() -> None:
    module = nn.Sequential(nn.ZeroPad2d((3, 1, 2, 0)), nn.Conv2d(3, 2, 3))
    assert find_fields(module, ["1"], (16, 16)) == {"1": Field((1.0, 1.0), (-1.0, -2.0))}


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_padding_by_name(padding: str) -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 5, padding=padding, dilation=2))
    assert find_fields(module, ["0"], (32, 32)) == {"0": square(1, 0 if padding == "same" else 4)}


def test_tokens_follow_the_patch_convolution() -> None:
    class Patches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch, self.block = nn.Conv2d(3, 6, 8, 8), nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            tokens: Tensor = self.block(self.patch(x).flatten(2).transpose(1, 2))
            return tokens

    assert find_fields(Patches(), ["block"], (32, 32)) == {"block": square(8, 4)}


def test_pooling_outside_of_modules_leaves_layers_out() -> None:
    class Pooling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            second: Tensor = self.second(functional.max_pool2d(self.first(x), 2))
            return second

    assert find_fields(Pooling(), ["first", "second"], (16, 16)) == {"first": square(1, 0)}


def test_pools_to_a_given_size() -> None:
    module = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.AdaptiveAvgPool2d(3), nn.AdaptiveAvgPool2d(1))
    assert find_fields(module, ["0", "1", "2"], (16, 16)) == {"0": square(4, 2)}


def test_rows_and_columns_are_their_own() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, (3, 5), (1, 2), (0, 2)))
    assert find_fields(module, ["0"], (12, 20)) == {"0": Field((1.0, 2.0), (1.0, 0.0))}


@pytest.mark.parametrize("cell", [(3, 3), (4, 5)])
def test_gradient_of_a_cell_is_centered_at_its_field(cell: tuple[int, int]) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 7, 2, 3),
        nn.AvgPool2d(3, 2, 1),
        nn.Conv2d(4, 4, 3),
        nn.AvgPool2d(2, 2),
        nn.Conv2d(4, 2, 3, padding=1),
    )
    field = find_fields(module, ["4"], (128, 128))["4"]
    image = torch.zeros(1, 3, 128, 128, requires_grad=True)
    module(image)[0, 0, *cell].backward()
    assert image.grad is not None
    seen = image.grad[0].abs().sum(0)
    for axis in (0, 1):
        touched = seen.sum(1 - axis).nonzero().flatten()
        middle = (int(touched[0]) + int(touched[-1])) / 2
        assert abs(middle - (field.center[axis] + cell[axis] * field.step[axis])) <= 1

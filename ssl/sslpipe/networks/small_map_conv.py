"""Convolutions on maps of a few pixels: on a CPU their weights' gradient comes from matrix products."""

from itertools import product

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F


class SmallMapConv2d(nn.Conv2d):
    """Conv2d whose weights' gradient is fast on a CPU where the output has at most `largest_map`
    pixels.

    The last layers of a residual network see maps of 1×1 to 3×3 pixels if images have 32 to 96.
    There the CPU kernel for that gradient takes up to thirty times as long as matrix products over
    the few pairs of pixels which a tap of the kernel joins. Values are the same but for rounding;
    on other devices, in other precisions and for other maps this is Conv2d.
    """

    largest_map = 9

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, out channels, H', W'), as Conv2d."""
        if not self._joins_few_pixels(x):
            return super().forward(x)
        return _Convolution.apply(x, self.weight, self.stride, self.padding)

    def _joins_few_pixels(self, x: Tensor) -> bool:
        if self.bias is not None or self.groups > 1 or self.dilation != (1, 1):
            return False
        rows, columns = (
            (side + 2 * padding - kernel) // stride + 1
            for side, padding, kernel, stride in zip(
                x.shape[-2:], self.padding, self.kernel_size, self.stride, strict=True
            )
        )
        return (
            rows * columns <= self.largest_map
            and x.device.type == "cpu"
            and x.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
        )


class _Convolution(torch.autograd.Function):
    """conv2d without bias, dilation and groups, once differentiable."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, weight: Tensor, stride: tuple, padding: tuple
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        for_x, for_weight = None, None
        if ctx.needs_input_grad[0]:
            for_x = torch.nn.grad.conv2d_input(x.shape, weight, gradient, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            for_weight = _weight_gradient(x, weight, gradient, ctx.stride, ctx.padding)
        return for_x, for_weight, None, None


def _weight_gradient(
    x: Tensor, weight: Tensor, gradient: Tensor, stride: tuple, padding: tuple
) -> Tensor:
    """Each tap of the kernel joins output pixels to the input pixels that it sees: the sum of their
    outer products. Taps that see only padding have none."""
    result = torch.zeros_like(weight)
    for row, column in product(*(range(side) for side in weight.shape[-2:])):
        seen = [
            _pixels_seen(tap, *sides)
            for tap, *sides in zip(
                (row, column), x.shape[-2:], gradient.shape[-2:], stride, padding, strict=True
            )
        ]
        (rows_in, rows_out), (columns_in, columns_out) = seen
        result[:, :, row, column] = _as_matrix(
            gradient[:, :, rows_out, columns_out]
        ).T @ _as_matrix(x[:, :, rows_in, columns_in])
    return result


def _pixels_seen(
    tap: int, inputs: int, outputs: int, stride: int, padding: int
) -> tuple[slice, slice]:
    """Along one side: the input pixels that the tap sees, and the output pixels for which it does.

    Output pixel o sees input pixel o·stride + tap − padding.
    """
    first = max(0, -((tap - padding) // stride))
    last = min(outputs, (inputs - 1 - tap + padding) // stride + 1)
    last = max(first, last)
    start = first * stride + tap - padding
    return slice(start, start + (last - first) * stride, stride), slice(first, last)


def _as_matrix(maps: Tensor) -> Tensor:
    """(N, C, H, W) -> (N·H·W, C)"""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])

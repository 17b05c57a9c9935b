"""Convolutions on maps of a few pixels: on a CPU their products come from matrices."""

from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.grad import conv2d_input


class SmallMapConv2d(nn.Conv2d):
    """Conv2d that is fast on a CPU where the output has at most `largest_map` pixels.

    The last layers of a residual network see maps of 1×1 to 3×3 pixels if images have 32 to 96.
    There the CPU kernel for the weights' gradient takes up to thirty times as long as matrix products
    over the few pairs of pixels which a tap of the kernel joins. Where the input has fewer pixels than
    the kernel has taps, most taps see only padding, and one product with the matrix that leads
    from all of its pixels to all of the output's does less work in either direction. In fp32, and in
    bf16 under autocast, values are the same but for rounding; on other devices, in other precisions
    and for other maps this is Conv2d. Output may lie in memory as channels_last.
    """

    largest_map = 9
    padding: tuple[int, ...]  # never a word

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, out channels, H', W'), as Conv2d."""
        if not self._joins_few_pixels(x):
            return super().forward(x)
        # As autocast would, which sees no function of our own.
        dtype = torch.bfloat16 if torch.is_autocast_enabled("cpu") else torch.float32
        x, weight = x.to(dtype), self.weight.to(dtype)
        with torch.autocast("cpu", enabled=False):
            if x.shape[2:].numel() < weight.shape[2:].numel():
                return self._by_one_product(x, weight)
            return _Convolution.apply(x, weight, self.stride, self.padding)

    def _by_one_product(self, x: Tensor, weight: Tensor) -> Tensor:
        rows, columns = self._output_sides(x)
        matrix = _PixelMatrix.apply(weight, tuple(x.shape[2:]), self.stride, self.padding)
        output = F.linear(_as_matrix(x).reshape(len(x), matrix.shape[1]), matrix)
        return output.view(len(x), rows, columns, self.out_channels).permute(0, 3, 1, 2)

    def _joins_few_pixels(self, x: Tensor) -> bool:
        if self.bias is not None or self.groups > 1 or self.dilation != (1, 1):
            return False
        if x.device.type != "cpu" or x.dim() != 4 or self.weight.dtype != torch.float32:
            return False
        if torch.is_autocast_enabled("cpu"):
            known = torch.get_autocast_dtype("cpu") == torch.bfloat16
            known = known and x.dtype in (torch.float32, torch.bfloat16)
        else:
            known = x.dtype == torch.float32
        rows, columns = self._output_sides(x)
        return known and rows * columns <= self.largest_map

    def _output_sides(self, x: Tensor) -> tuple[int, int]:
        return _output_sides(x.shape[2:], self.kernel_size, self.stride, self.padding)


def _output_sides(sides: tuple, kernel: tuple, stride: tuple, padding: tuple) -> tuple[int, int]:
    rows, columns = (
        (side + 2 * around - taps) // step + 1
        for side, taps, step, around in zip(sides, kernel, stride, padding, strict=True)
    )
    return rows, columns


class _PixelMatrix(torch.autograd.Function):
    """(out, in, k, k') -> (H'·W'·out, H·W·in): the convolution of a whole map as one matrix, zero
    between pixels that no tap joins. The gradient of a tap is the sum over the pairs it joins."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, sides: tuple, stride: tuple, padding: tuple) -> Tensor:
        outputs = _output_sides(sides, tuple(weight.shape[2:]), stride, padding)
        ctx.shape = (*outputs, weight.shape[0], *sides, weight.shape[1])
        ctx.kernel, ctx.pairs = weight.shape, []
        for tap in product(*(range(taps) for taps in weight.shape[2:])):
            for output in product(*(range(side) for side in outputs)):
                seen = tuple(
                    o * step + t - around
                    for o, step, t, around in zip(output, stride, tap, padding, strict=True)
                )
                if all(0 <= pixel < side for pixel, side in zip(seen, sides, strict=True)):
                    ctx.pairs.append((tap, output, seen))
        matrix = weight.new_zeros(ctx.shape)
        for (row, column), output, seen in ctx.pairs:
            matrix[*output, :, *seen] = weight[:, :, row, column]
        return matrix.view(outputs[0] * outputs[1] * weight.shape[0], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        gradient = gradient.view(ctx.shape)
        # In fp32, so that the sum is rounded once.
        result = gradient.new_zeros(ctx.kernel, dtype=torch.float32)
        for (row, column), output, seen in ctx.pairs:
            result[:, :, row, column] += gradient[*output, :, *seen]
        return result.to(gradient.dtype), None, None, None


class _Convolution(torch.autograd.Function):
    """conv2d without bias, dilation and groups, once differentiable."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: tuple, padding: tuple) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        for_x, for_weight = None, None
        if ctx.needs_input_grad[0]:
            for_x = conv2d_input(x.shape, weight, gradient, ctx.stride, ctx.padding)
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

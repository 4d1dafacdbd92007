"""Instance normalisation that is exact to float32 rounding in every memory layout, and fast on a CPU."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROWS = 512  # numbers that a float32 adds up with an error of about 1e-6
COLUMNS = 2048  # sums that grow side by side: what the fastest cache holds


class InstanceNorm(nn.InstanceNorm2d):
    """Normalises each channel of each picture (Ulyanov et al. 2016), in float32 whatever the input's precision.

    In bfloat16 the variance of a flat region drowns in rounding, and its division by nearly nothing is amplified.
    Keeps no running statistics: a picture is normalised by itself, in training and afterwards.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return x, (N, C, H, W) with H·W > 1, with mean 0 and variance 1 (ε = 1e-5), in the precision of x."""
        exact = torch.promote_types(x.dtype, torch.float32)
        weight = None if self.weight is None else self.weight.to(exact)
        bias = None if self.bias is None else self.bias.to(exact)
        if x.device.type != "cpu":
            return F.instance_norm(x.to(exact), weight=weight, bias=bias, eps=self.eps).to(x.dtype)
        side_by_side = x.is_contiguous(memory_format=torch.channels_last)  # as those of one channel always are
        if x.is_contiguous() and not side_by_side:  # torch's own instance norm takes four times as long
            return F.group_norm(x, x.shape[1], weight, bias, self.eps)
        weight = torch.ones(x.shape[1], dtype=exact) if weight is None else weight
        bias = torch.zeros(x.shape[1], dtype=exact) if bias is None else bias
        pictures = torch.split(x.contiguous(memory_format=torch.channels_last), 1)
        alone: list[Tensor]
        if x[0, 0].numel() <= 2 * ROWS:  # torch's own sums are as good
            alone = [F.batch_norm(one, None, None, weight, bias, training=True, eps=self.eps) for one in pictures]
        else:
            alone = [_ChannelsLast.apply(one, weight, bias, self.eps) for one in pictures]
        return alone[0] if len(alone) == 1 else torch.cat(alone)


class _ChannelsLast(torch.autograd.Function):
    """y = w (x - μ)/√(σ² + ε) + b for one picture (1, C, H, W) that is laid out channels last.

    F.batch_norm adds up a whole channel in one float32: at 2048² it is off by 0.01. Here its kernels get many short
    columns, whose sums are then put together: nearly as fast, and off by 1e-6.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        mean, variance = _moments(x)
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps = eps
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        (grad,), (x, weight, mean, variance) = grads, ctx.saved_tensors
        if torch.is_grad_enabled():  # a penalty on gradients differentiates this once more
            return (*_differentiable_backward(grad, x, weight, ctx.eps), None)
        grad = grad.contiguous(memory_format=torch.channels_last)
        inverse = (variance + ctx.eps).rsqrt()
        if x[0, 0].numel() <= 8 * ROWS or x.dtype == torch.bfloat16:  # which rounds more than the sums are off
            return (*_backward(grad, x, weight, mean, inverse, wanted=[True, True, True]), None)
        sums = _sums(grad, x, mean, inverse)  # the gradients of weight and bias
        scale = weight * inverse
        slope, offset = sums * (scale / -x[0, 0].numel())
        grad_x = F.batch_norm(x, mean, variance, slope, offset, training=False, eps=ctx.eps)
        return grad_x.addcmul_(grad, scale.to(grad)[:, None, None]), *sums, None


def _differentiable_backward(grad: Tensor, x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of x, weight and bias in plain operations, in float32."""
    g, x = grad.to(weight), x.to(weight)
    centred = x - x.mean((2, 3), keepdim=True)
    inverse = (centred.square().mean((2, 3), keepdim=True) + eps).rsqrt()
    normal = centred * inverse
    across = g - g.mean((2, 3), keepdim=True) - normal * (g * normal).mean((2, 3), keepdim=True)
    return (weight[:, None, None] * inverse * across).to(grad), (g * normal).sum((0, 2, 3)), g.sum((0, 2, 3))


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance of every channel of one channels-last picture, (C,) float32 each."""
    channels, pixels = x.shape[1], x[0, 0].numel()
    parts = []
    for (columns,) in _columns(x):
        exact = torch.promote_types(x.dtype, torch.float32)
        unused = torch.zeros(2, columns.shape[1], dtype=exact)  # without, statistics would be rounded to bfloat16
        mean, variance = torch.batch_norm_update_stats(columns, unused[0], unused[1], 0.0)
        share = torch.full_like(mean, columns.shape[2] / pixels)
        parts.append(torch.stack([share, mean, variance]).view(3, -1, channels))
    shares, means, variances = torch.cat(parts, 1)
    mean = (shares * means).sum(0)
    return mean, (shares * (variances + (means - mean).square())).sum(0)


def _sums(grad: Tensor, x: Tensor, mean: Tensor, inverse: Tensor) -> Tensor:
    """Return Σ grad (x - μ)/σ and Σ grad of every channel, (2, C) float32."""
    parts = []
    for over, columns in _columns(grad, x):
        lanes = columns.shape[1] // len(mean)
        _, *sums = _backward(over, columns, None, mean.repeat(lanes), inverse.repeat(lanes), wanted=[False, True, True])
        parts.append(torch.stack(sums).view(2, lanes, -1))
    return torch.cat(parts, 1).sum(1)


def _columns(*pictures: Tensor) -> Iterator[list[Tensor]]:
    """Cut channels-last pictures (1, C, H, W) alike into views (1, lanes · C, rows, 1) of at most ROWS rows."""
    channels, pixels = pictures[0].shape[1], pictures[0][0, 0].numel()
    flat = [picture.permute(0, 2, 3, 1).view(1, pixels, 1, channels) for picture in pictures]
    lanes = min(-(-pixels // ROWS), max(1, COLUMNS // channels))
    for start in range(0, pixels, lanes * ROWS):
        stop = min(start + lanes * ROWS, pixels)
        even = stop - (stop - start) % lanes
        for first, last, width in ((start, even, lanes * channels), (even, stop, channels)):
            if first < last:
                yield [one[:, first:last].view(1, -1, 1, width).permute(0, 3, 1, 2) for one in flat]


def _backward(
    grad: Tensor, x: Tensor, weight: Tensor | None, mean: Tensor, inverse: Tensor, *, wanted: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what torch's batch norm returns for x, weight and bias, as far as wanted, given μ and 1/σ."""
    grads: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.native_batch_norm_backward(
        grad, x, weight, None, None, mean, inverse, True, 0.0, wanted
    )
    return grads

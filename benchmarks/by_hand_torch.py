"""The peer of `benchmarks.by_hand` in PyTorch: `baddbmm`, grouped convolutions, and the foreach Adam.

Not by `torch.compile`: on a CPU it takes longer to compile than these trainings take.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.by_hand import DECAYS, EPSILON, RATE, Work

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "mish": functional.mish,
    "tanh": torch.tanh,
    "elu": functional.elu,
    "leaky_relu(alpha=0.1)": partial(functional.leaky_relu, negative_slope=0.1),
    "trelu(theta=0.5)": lambda x: functional.threshold(x, 0.5, 0.0),
    "gelu": functional.gelu,
    "silu": functional.silu,
}


def _parameters(work: Work) -> list[Tensor]:
    """Kernel and bias of each layer in turn, as PyTorch's kernels want them."""
    parameters = []
    for stack in work.kernels():
        kernel = torch.from_numpy(stack)
        outputs = stack.shape[-1]
        if kernel.ndim == 3:
            bias = torch.zeros(work.members, 1, outputs)
        else:
            # (members, rows, columns, inputs, outputs): members are groups of output channels
            kernel = kernel.permute(0, 4, 3, 1, 2).flatten(0, 1).contiguous()
            bias = torch.zeros(work.members * outputs)
        parameters += [kernel.requires_grad_(), bias.requires_grad_()]
    return parameters


def _forward(work: Work) -> Callable[[list[Tensor], Tensor], Tensor]:
    """Return what computes the logits of all members, (members, batch, classes)."""
    functions = [FUNCTIONS[name] for name in work.activations]

    def activated(x: Tensor, dim: int = 0) -> Tensor:
        parts = x.chunk(len(functions), dim)
        return torch.cat([f(part) for f, part in zip(functions, parts, strict=True)], dim)

    def dense(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        return torch.baddbmm(bias, x, kernel)

    def mlp(parameters: list[Tensor], x: Tensor) -> Tensor:
        x = x.expand(work.members, -1, -1)
        x = activated(dense(x, *parameters[0:2]))
        x = activated(dense(x, *parameters[2:4]))
        return dense(x, *parameters[4:6])

    def cnn(parameters: list[Tensor], x: Tensor) -> Tensor:
        x = activated(functional.conv2d(x, *parameters[0:2], padding=1), dim=1)
        x = functional.max_pool2d(x, 2, ceil_mode=True)
        x = functional.conv2d(x, *parameters[2:4], padding=1, groups=work.members)
        x = activated(x, dim=1)
        # (batch, members * channels, rows, columns)
        x = x.view(len(x), work.members, -1).transpose(0, 1)
        x = activated(dense(x, *parameters[4:6]))
        return dense(x, *parameters[6:8])

    return {"mlp": mlp, "cnn": cnn}[work.kind]


def train(work: Work) -> float:
    """Train all members, and return their mean accuracy in the last epoch."""
    generator = torch.Generator().manual_seed(1)
    parameters = _parameters(work)
    optimizer = torch.optim.Adam(parameters, lr=RATE, betas=DECAYS, eps=EPSILON, foreach=True)
    forward = _forward(work)
    x = torch.from_numpy(work.x)
    if work.kind == "cnn":
        x = x.permute(0, 3, 1, 2).contiguous()
    y = torch.from_numpy(work.y).long()
    right = torch.zeros(())
    for _ in range(work.epochs):
        right = torch.zeros(())
        for rows in torch.randperm(len(x), generator=generator).split(work.batch_size):
            logits = forward(parameters, x[rows])
            targets = y[rows].expand(work.members, -1)
            # the sum over the members: each gets its own gradient
            loss = functional.cross_entropy(
                logits.flatten(0, 1), targets.flatten(), reduction="sum"
            ) / len(rows)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                right = right + (logits.argmax(-1) == targets).sum()
    return float(right) / work.members / len(x)

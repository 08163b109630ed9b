"""Functions of JAX that went to ONNX and back, beside the ones that they come from: time of a jitted call and of its gradient.

    python benchmarks/jax_functions.py

The modules are Flax's, with random weights: residual blocks of convolutions as in ResNet-50, and an encoder as in BERT. The
two functions are called in turns; each figure is the least of the rounds. The difference is relative to the largest value.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import onward
from onward.cli.output import console, milliseconds, table

ROUNDS = 20


class Bottleneck(nnx.Module):
    """Three convolutions with batch normalisation beside a shortcut."""

    def __init__(self, channels: int, rngs: nnx.Rngs) -> None:
        inner = channels // 4
        sizes = [(channels, inner, 1), (inner, inner, 3), (inner, channels, 1)]
        self.convolutions = nnx.List([nnx.Conv(left, right, (k, k), use_bias=False, rngs=rngs) for left, right, k in sizes])
        self.norms = nnx.List([nnx.BatchNorm(right, use_running_average=True, rngs=rngs) for _, right, _ in sizes])

    def __call__(self, x: Any) -> Any:
        y = x
        for place, (convolution, norm) in enumerate(zip(self.convolutions, self.norms)):
            y = norm(convolution(y))
            y = nnx.relu(y if place < 2 else y + x)
        return y


class Convolutions(nnx.Module):
    """A stem and four bottlenecks."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.stem = nnx.Conv(3, 256, (7, 7), strides=(4, 4), rngs=rngs)
        self.blocks = nnx.List([Bottleneck(256, rngs) for _ in range(4)])
        self.head = nnx.Linear(256, 100, rngs=rngs)

    def __call__(self, images: Any) -> Any:
        x = nnx.max_pool(self.stem(images), (3, 3), (2, 2), "SAME")
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((1, 2)))


class Layer(nnx.Module):
    """Attention and two linear layers, each added to its input and normalised."""

    def __init__(self, width: int, rngs: nnx.Rngs) -> None:
        self.attention = nnx.MultiHeadAttention(width // 64, width, decode=False, rngs=rngs)
        self.first, self.second = nnx.Linear(width, 4 * width, rngs=rngs), nnx.Linear(4 * width, width, rngs=rngs)
        self.norms = nnx.List([nnx.LayerNorm(width, rngs=rngs) for _ in range(2)])

    def __call__(self, x: Any) -> Any:
        x = self.norms[0](x + self.attention(x))
        return self.norms[1](x + self.second(nnx.gelu(self.first(x), approximate=False)))


class Encoder(nnx.Module):
    """Embeddings and four layers."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.embedding = nnx.Embed(1000, 256, rngs=rngs)
        self.layers = nnx.List([Layer(256, rngs) for _ in range(4)])

    def __call__(self, tokens: Any) -> Any:
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x)
        return x


def functions(module: nnx.Module, x: np.ndarray) -> dict[str, tuple[Callable[..., Any], Any]]:
    """Name -> (function of parameters and input, parameters)"""
    definition, parameters, rest = nnx.split(module, nnx.Param, ...)
    back = onward.convert(module, (x,), to="jax")
    return {"original": (lambda own, x: nnx.merge(definition, own, rest)(x), parameters), "back": (back.function, back.parameters)}


def least(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Seconds of each call, which are made in turns."""
    best = dict.fromkeys(calls, float("inf"))
    for place in range(ROUNDS + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            jax.block_until_ready(call())
            if place:  # the first compiles
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def main() -> None:
    """Prints the table."""
    random = np.random.default_rng(0)
    cases = {
        "residual blocks, 1 x 96 x 96 x 3": (Convolutions(nnx.Rngs(0)), random.standard_normal((1, 96, 96, 3)).astype(np.float32)),
        "encoder, 1 x 64 tokens": (Encoder(nnx.Rngs(0)), random.integers(0, 1000, (1, 64)).astype(np.int32)),
    }
    result = table("model", "call", "ours", "gradient", "ours", "difference")
    for title, (module, x) in cases.items():
        module.eval()
        pair = functions(module, x)
        forward = {name: (lambda f=jax.jit(f), own=own: f(own, x)) for name, (f, own) in pair.items()}
        slopes = {name: jax.jit(jax.grad(lambda own, x, f=f: jnp.sum(f(own, x) ** 2))) for name, (f, _) in pair.items()}
        backward = {name: (lambda f=slopes[name], own=own: f(own, x)) for name, (_, own) in pair.items()}
        ours, theirs = (np.asarray(forward[name]()) for name in ("back", "original"))
        calls, gradients = least(forward), least(backward)
        figures = [milliseconds(each[name]) for each in (calls, gradients) for name in ("original", "back")]
        result.add_row(title, *figures, f"{np.abs(ours - theirs).max() / np.abs(theirs).max():.1e}")
    console.print(result)


if __name__ == "__main__":
    main()

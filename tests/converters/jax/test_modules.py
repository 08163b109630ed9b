"""Modules of Flax, compared with Flax by the conversion itself, in several sizes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import onward
from onward.converters import Certificate

random = np.random.default_rng(3)


def real(*shape: int) -> np.ndarray:
    return random.standard_normal(shape).astype(np.float32)


class Perceptron(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Linear(3, 8, rngs=rngs)
        self.norm = nnx.LayerNorm(8, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.last = nnx.Linear(8, 2, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.last(jax.nn.gelu(self.dropout(self.norm(self.first(x)))))


class Convolutions(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Conv(3, 8, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.up = nnx.ConvTranspose(8, 4, (3, 3), strides=(2, 2), rngs=rngs)

    def __call__(self, images: Any) -> Any:
        x = nnx.max_pool(nnx.relu(self.norm(self.first(images))), (2, 2), (2, 2))
        return nnx.softmax(nnx.avg_pool(self.up(x), (2, 2), (2, 2), "SAME").mean((1, 2)))


class Tied(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.embedding = nnx.Embed(20, 8, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, 8, decode=False, rngs=rngs)
        self.norm = nnx.RMSNorm(8, rngs=rngs)

    def __call__(self, tokens: Any) -> Any:
        x = self.embedding(tokens)
        return self.embedding.attend(self.norm(x + self.attention(x)))


class Recurrent(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.layer = nnx.RNN(nnx.LSTMCell(3, 4, rngs=rngs))

    def __call__(self, x: Any) -> Any:
        return self.layer(x)


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        y = nn.MultiHeadDotProductAttention(num_heads=2)(nn.LayerNorm()(x), mask=nn.make_causal_mask(jnp.ones(x.shape[:2])))
        return nn.RNN(nn.GRUCell(4))(x + nn.BatchNorm(use_running_average=True)(y))


def test_a_perceptron_keeps_its_names() -> None:
    model = onward.convert(Perceptron(nnx.Rngs(0)), (real(2, 3),))
    assert {"first.kernel", "first.bias", "norm.scale", "last.kernel"} <= set(model.graph.initializers)
    assert "Gelu" in [node.op_type for node in model.graph.nodes]


def test_convolutions() -> None:
    onward.convert(Convolutions(nnx.Rngs(0)), (real(2, 8, 8, 3),))


def test_tied_weights_are_one() -> None:
    model = onward.convert(Tied(nnx.Rngs(0)), (np.array([[1, 4, 7], [0, 19, 3]], np.int32),))
    assert [name for name, value in model.graph.initializers.items() if value.tensor.shape == (20, 8)] == ["embedding.embedding"]
    assert [str(extent) for extent in model.graph.inputs[0].shape] == ["batch", "tokens_1"]


def test_steps_of_recurrent_layers_stay_open() -> None:
    model = onward.convert(Recurrent(nnx.Rngs(0)), (real(2, 5, 3),))
    assert [str(extent) for extent in model.graph.inputs[0].shape] == ["batch", "x_1", "3"]


@pytest.mark.parametrize("bound", [False, True])
def test_linen(bound: bool) -> None:
    module, x = Linen(), real(2, 5, 8)
    variables = module.init(jax.random.key(0), x)
    model = onward.convert(module.bind(variables) if bound else (module, variables), (x,))
    assert "params.BatchNorm_0.scale" in model.graph.initializers


def test_mixed_precision() -> None:
    """Results in single precision that were rounded to bfloat16 on the way."""
    first, second = (jnp.asarray(real(*shape), jnp.bfloat16) for shape in ((8, 16), (16, 4)))
    model = onward.convert(lambda x: (jax.nn.gelu(x.astype(jnp.bfloat16) @ first) @ second).astype(jnp.float32), (real(3, 8),))
    assert any("computes in bfloat16" in note for note in Certificate.of(model).notes)


def test_draws_of_open_sizes_and_of_gamma() -> None:
    model = onward.convert(lambda seed, x: x + jax.random.normal(jax.random.key(seed), x.shape), (np.int32(3), real(4, 3)))
    assert [str(extent) for extent in model.graph.inputs[1].shape] == ["batch", "x_1"]
    onward.convert(lambda seed, a: jax.random.gamma(jax.random.key(seed), jnp.exp(a)), (np.int32(3), real(2)), dynamic_shapes={})


def test_a_loop_that_samples() -> None:
    weights = real(7, 7)

    def sample(seed: Any, first: Any) -> Any:
        def step(state: Any) -> Any:
            place, key, tokens = state
            key, own = jax.random.split(key)
            following = jax.random.categorical(own, jnp.asarray(weights)[tokens[place]])
            return place + 1, key, tokens.at[place + 1].set(following.astype(jnp.int32))

        tokens = jnp.zeros(6, jnp.int32).at[0].set(first)
        return jax.lax.while_loop(lambda state: state[0] < 5, step, (0, jax.random.key(seed), tokens))[2]

    model = onward.convert(sample, (np.int32(3), np.int32(2)))
    session = onward.InferenceSession(model.to_bytes())
    for seed in range(3):
        (found,) = session.run(None, {"seed": np.int32(seed), "first": np.int32(seed)})
        np.testing.assert_array_equal(found, sample(seed, seed))

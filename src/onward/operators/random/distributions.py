"""RandomUniform, RandomNormal, their Like forms, Bernoulli and Multinomial."""

from __future__ import annotations

from collections.abc import Sequence

from onward import program as P
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
from onward.operators.numeric import wide
from onward.operators.random.generator import normal, seed_of, uniform
from onward.operators.registry import Context, operator


@operator("RandomUniform")
def random_uniform(
    *,
    context: Context,
    shape: list[int],
    dtype: int = 1,
    high: float = 1.0,
    low: float = 0.0,
    seed: float | None = None,
) -> P.Array:
    """Uniform numbers in [low, high). ONNX RandomUniform-1."""
    return _uniform(shape, DataType(dtype), low, high, seed_of(seed, context))


@operator("RandomUniformLike")
def random_uniform_like(
    x: P.Array,
    *,
    context: Context,
    dtype: int | None = None,
    high: float = 1.0,
    low: float = 0.0,
    seed: float | None = None,
) -> P.Array:
    """Uniform numbers in [low, high) in the shape of x. ONNX RandomUniformLike-1."""
    return _uniform(x.shape, DataType(dtype or x.dtype), low, high, seed_of(seed, context))


@operator("RandomNormal")
def random_normal(
    *,
    context: Context,
    shape: list[int],
    dtype: int = 1,
    mean: float = 0.0,
    scale: float = 1.0,
    seed: float | None = None,
) -> P.Array:
    """Normally distributed numbers. ONNX RandomNormal-1."""
    return _normal(shape, DataType(dtype), mean, scale, seed_of(seed, context))


@operator("RandomNormalLike")
def random_normal_like(
    x: P.Array,
    *,
    context: Context,
    dtype: int | None = None,
    mean: float = 0.0,
    scale: float = 1.0,
    seed: float | None = None,
) -> P.Array:
    """Normally distributed numbers in the shape of x. ONNX RandomNormalLike-1."""
    return _normal(x.shape, DataType(dtype or x.dtype), mean, scale, seed_of(seed, context))


@operator("Bernoulli", since=15)
def bernoulli(x: P.Array, *, context: Context, dtype: int | None = None, seed: float | None = None) -> P.Array:
    """1 with the probability that x says, else 0. ONNX Bernoulli-15."""
    number, kind = seed_of(seed, context), DataType(dtype or x.dtype)

    def element(*position: Dimension) -> P.Scalar:
        chance = wide(x[position])
        return P.cast(uniform(position, x.shape, number, chance.dtype) < chance, kind)

    return P.compute(x.shape, element)


@operator("Multinomial", since=7)
def multinomial(x: P.Array, *, context: Context, dtype: int = 6, sample_size: int = 1, seed: float | None = None) -> P.Array:
    """Classes drawn with the unnormalised log-probabilities x (batch, classes). ONNX Multinomial-7.

    The greatest of the log-probabilities with Gumbel noise wins (Gumbel 1954), so that nothing is summed up.
    """
    number = seed_of(seed, context)
    shape = (x.shape[0], sample_size, x.shape[1])

    def noisy(batch: Dimension, sample: Dimension, kind: Dimension) -> P.Scalar:
        logit = wide(x[batch, kind])
        chance = uniform((batch, sample, kind), shape, number, DataType.DOUBLE)
        return P.cast(logit, DataType.DOUBLE) - P.log(-P.log(1.0 - chance))

    return P.cast(P.reduce("argmax", shape[:2], shape[2:], noisy), DataType(dtype))


def _uniform(shape: Sequence[Dimension], dtype: DataType, low: float, high: float, seed: int) -> P.Array:
    return P.compute(shape, lambda *i: P.cast(uniform(i, shape, seed, dtype) * (high - low) + low, dtype))


def _normal(shape: Sequence[Dimension], dtype: DataType, mean: float, scale: float, seed: int) -> P.Array:
    return P.compute(shape, lambda *i: P.cast(normal(i, shape, seed, dtype) * scale + mean, dtype))

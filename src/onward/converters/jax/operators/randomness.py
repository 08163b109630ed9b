"""Random numbers: the counters of Threefry, computed in whole numbers as JAX does."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.extend.core import primitives

from onward.converters.jax.emitter import Array, Emitter
from onward.converters.jax.registry import composed, primitive


def _implementation(keys: Array) -> Any:
    return keys.dtype._impl


def _for_each(function: Any, rank: int) -> Any:
    for _ in range(rank):
        function = jax.vmap(function)
    return function


def _traced(c: Emitter, function: Any, *arguments: Array) -> list[Array]:
    return c.walker.traced(function, arguments, c.results)


@primitive("random_bits")
def random_bits(c: Emitter, keys: Array, *, bit_width: int, shape: Any) -> list[Array]:
    implementation = _implementation(keys)
    return _traced(c, _for_each(lambda key: implementation.random_bits(key, bit_width, shape), keys.rank), keys)


@primitive("random_split")
def random_split(c: Emitter, keys: Array, *, shape: Any) -> list[Array]:
    implementation = _implementation(keys)
    return _traced(c, _for_each(lambda key: implementation.split(key, shape), keys.rank), keys)


@primitive("random_fold_in")
def random_fold_in(c: Emitter, keys: Array, data: Array) -> list[Array]:
    implementation = _implementation(keys)
    rank = max(keys.rank, data.rank)
    words = len(implementation.key_shape)

    def fold(key: Any, number: Any) -> Any:
        key = jax.numpy.broadcast_to(key, (*c.result.shape, *key.shape[key.ndim - words :]))
        return _for_each(implementation.fold_in, rank)(key, jax.numpy.broadcast_to(number, c.result.shape))

    return _traced(c, fold, keys, data)


@primitive("random_seed")
def random_seed(c: Emitter, seeds: Array, *, impl: Any) -> list[Array]:
    return _traced(c, _for_each(impl.seed, seeds.rank), seeds)


@primitive("random_wrap", "random_unwrap", "random_clone")
def random_wrap(c: Emitter, x: Array, **parameters: Any) -> Array:
    return Array(x.held, c.result.dtype, c.result.shape)


@composed("threefry2x32")
def threefry2x32(first: Any, second: Any, left: Any, right: Any) -> Any:
    from jax._src.random import threefry2x32 as page

    return page._threefry2x32_lowering(first, second, left, right, use_rolled_loops=False)


@composed("iota_2x32_shape")
def iota_2x32_shape(*, shape: Any) -> Any:
    """The numbers of the elements, upper and lower 32 bits."""
    count = jax.lax.iota(np.uint32, math.prod(shape)).reshape(shape)
    return jax.numpy.zeros(shape, np.uint32), count


@primitive("random_gamma")
def random_gamma(c: Emitter, keys: Array, a: Array, *, log_space: bool) -> list[Array]:
    """JAX's own loop, which draws until a number is accepted (Marsaglia and Tsang, ACM Transactions on Mathematical Software 26, 363, 2000)."""
    wrapped = partial(jax.random.wrap_key_data, impl=_implementation(keys).name)
    draw = partial(primitives.random_gamma_p.impl, log_space=log_space, use_vmap=True)
    return _traced(c, lambda words, shape: draw(wrapped(words), shape), keys, a)

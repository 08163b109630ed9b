"""Factorisations and solutions of linear systems, written with JAX's own functions, a column after another."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax._src.lax import linalg

from onward.converters.jax.registry import composed


@composed("cholesky")
def cholesky(x: Any, *, symmetrize_input: bool = False, **parameters: Any) -> Any:
    """The lower factor; NaN where a matrix is not positive definite."""
    if symmetrize_input:
        x = (x + jnp.swapaxes(x, -1, -2)) / 2
    index = jnp.arange(x.shape[-1])

    def column(place: Any, factor: Any) -> Any:
        row = jnp.take(factor, place, axis=-2, mode="clip")
        rest = jnp.take(x, place, axis=-1, mode="clip") - jnp.sum(factor * row[..., None, :], -1)
        pivot = jnp.sqrt(jnp.take(rest, place, axis=-1, mode="clip"))[..., None]
        made = jnp.where(index > place, rest / pivot, jnp.where(index == place, pivot, 0))
        return jnp.where(index == place, made[..., :, None], factor)

    made = lax.fori_loop(0, x.shape[-1], column, jnp.zeros_like(x))
    broken = jnp.any(jnp.isnan(made), axis=(-2, -1), keepdims=True)
    return jnp.where(broken, jnp.nan, made)


@composed("triangular_solve")
def triangular_solve(
    a: Any, b: Any, *, left_side: bool, lower: bool, transpose_a: bool, conjugate_a: bool = False, unit_diagonal: bool = False, **parameters: Any
) -> Any:
    """Row after row, from the one with a single unknown on."""
    if transpose_a:
        a, lower = jnp.swapaxes(a, -1, -2), not lower
    if not left_side:
        a, b, lower = jnp.swapaxes(a, -1, -2), jnp.swapaxes(b, -1, -2), not lower
    count = a.shape[-1]
    index = jnp.arange(count)

    def row(turn: Any, x: Any) -> Any:
        place = turn if lower else count - 1 - turn
        factors = jnp.take(a, place, axis=-2, mode="clip")
        known = jnp.where(index < place if lower else index > place, factors, 0)
        rest = jnp.take(b, place, axis=-2, mode="clip") - jnp.sum(known[..., :, None] * x, -2)
        if not unit_diagonal:
            rest = rest / jnp.take(factors, place, axis=-1, mode="clip")[..., None]
        return jnp.where((index == place)[:, None], rest[..., None, :], x)

    made = lax.fori_loop(0, count, row, jnp.zeros_like(b))
    return made if left_side else jnp.swapaxes(made, -1, -2)


@composed("lu")
def lu(x: Any, **parameters: Any) -> Any:
    """With the largest pivot of a column."""
    function = linalg._lu_unblocked
    for _ in range(x.ndim - 2):
        function = jax.vmap(function)
    pivots, permutation, made = function(x)
    return made, pivots, permutation


composed("tridiagonal_solve")(linalg._tridiagonal_solve_jax)
composed("symmetric_product")(linalg._symmetric_product_jax_fn)
composed("lu_pivots_to_permutation")(linalg._generic_lu_pivots_to_permutation)


@composed("cholesky_update")
def cholesky_update(factor: Any, vector: Any) -> Any:
    return linalg._cholesky_update_jax_fn(factor, vector)

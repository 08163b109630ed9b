"""Every primitive that JAX names in public has a translation, or stands here with the reason why it has none."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import primitives

import onward
from onward.converters.jax.graph import INLINED
from onward.converters.jax.registry import COMPLEX, COMPOSED, NAMED, PRIMITIVES

REFUSED = {
    "several devices": {"all_gather", "all_to_all", "axis_index", "pmax", "pmin", "ppermute", "psum", "ragged_all_to_all"},
    "order of effects, of which a model has none": {"after_all", "create_token"},
    "references that a run writes": {"empty2", "get", "swap"},
    "only inside of what differentiates": {"custom_lin", "select_and_gather_add", "select_and_scatter", "select_and_scatter_add"},
    "random numbers that no key of JAX tells": {"rng_bit_generator", "rng_uniform"},
    "eigenvalues of matrices that are not symmetric": {"eig", "hessenberg", "schur"},
    "the signs of its reflections are the library's": {"tridiagonal"},
}


def test_every_public_primitive() -> None:
    names = {item.name for label, item in vars(primitives).items() if label.endswith("_p")}
    ours = {*PRIMITIVES, *NAMED, *COMPOSED, *COMPLEX, *INLINED}
    assert len(names) > 170
    assert names - ours == set().union(*REFUSED.values())


def test_tridiagonal_systems() -> None:
    random = np.random.default_rng(0)
    below, above, right = (random.standard_normal(shape).astype(np.float32) for shape in ((2, 5), (2, 5), (2, 5, 3)))
    onward.convert(lambda a, b, c: lax.linalg.tridiagonal_solve(a, jnp.abs(a) + jnp.abs(b) + 2, b, c), (below, above, right))


def test_products_and_pivots() -> None:
    x = np.random.default_rng(1).standard_normal((4, 4)).astype(np.float32)
    onward.convert(lambda a: lax.linalg.symmetric_product(a, a @ a.T, alpha=0.5, beta=2.0, symmetrize_output=False), (x,))
    onward.convert(lambda a: jax.scipy.linalg.lu(a), (x,))

"""Functions of JAX, family by family: the conversion itself compares with JAX, on the example, random and large numbers, other sizes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from jax import lax

import onward
from onward.converters import Certificate
from onward.errors import ConversionError, InvalidArgument, UnsupportedOperator

random = np.random.default_rng(7)


def real(*shape: int) -> np.ndarray:
    return random.standard_normal(shape).astype(np.float32)


def whole(*shape: int, low: int = -9, high: int = 9, dtype: Any = np.int32) -> np.ndarray:
    return random.integers(low, high, shape).astype(dtype)


def kinds(model: onward.Model) -> list[str]:
    return [node.op_type for node in model.graph.nodes if node.op_type != "Identity"]


EDGES = np.array([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.5, -2.5, 1e-7, 1e-30, 88.0, -88.0, np.inf, -np.inf, np.nan], np.float32)

UNARY = [
    jnp.abs, jnp.arcsin, jnp.arccos, jnp.arctan, jnp.arcsinh, jnp.arctanh, jnp.sin, jnp.cos, jnp.tanh, jnp.exp, jnp.exp2, jnp.expm1, jnp.log,
    jnp.log1p, jnp.log2, jnp.sqrt, jnp.cbrt, jnp.square, jnp.reciprocal, jnp.sign, jnp.floor, jnp.ceil, jnp.trunc, jnp.rint, jnp.round, jnp.isnan,
    jnp.isinf, jnp.isfinite, jnp.signbit, jnp.negative, lax.rsqrt, lax.erf, lax.erfc, lax.erf_inv, lax.logistic, jax.nn.relu, jnp.nan_to_num, lax.round,
]  # fmt: skip


@pytest.mark.parametrize("function", UNARY, ids=lambda item: item.__name__)
def test_functions_of_a_number(function: Callable[..., Any]) -> None:
    onward.convert(function, (EDGES,))


BINARY = [
    jnp.add, jnp.subtract, jnp.multiply, jnp.divide, jnp.floor_divide, jnp.remainder, jnp.fmod, jnp.maximum, jnp.minimum, jnp.fmax, jnp.arctan2,
    jnp.hypot, jnp.copysign, jnp.nextafter, jnp.logaddexp, jnp.equal, jnp.not_equal, jnp.less, jnp.greater_equal, jnp.heaviside,
]  # fmt: skip


@pytest.mark.parametrize("function", BINARY, ids=lambda item: item.__name__)
def test_functions_of_two_numbers(function: Callable[..., Any]) -> None:
    left, right = np.meshgrid(EDGES, EDGES)
    onward.convert(function, (left, right))


WHOLE = np.array([0, 1, -1, 2, -2, 3, 7, -7, 31, 32, 33, 100, -128, 127], np.int8)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.uint8, np.uint16, np.uint32], ids=lambda item: item.__name__)
@pytest.mark.parametrize(
    "function",
    [lax.div, lax.rem, jnp.floor_divide, jnp.remainder, jnp.bitwise_and, jnp.bitwise_xor, lax.shift_left, lax.shift_right_logical,
     lax.shift_right_arithmetic, jnp.maximum, jnp.multiply, jnp.power],
    ids=lambda item: item.__name__,
)  # fmt: skip
def test_whole_numbers_at_their_edges(function: Callable[..., Any], dtype: Any) -> None:
    limits = np.iinfo(dtype)
    numbers = np.concatenate([WHOLE.astype(dtype), np.array([limits.min, limits.max], dtype)])
    left, right = np.meshgrid(numbers, numbers)
    if function is jnp.power:
        right = np.abs(right.astype(np.int64)).clip(0, 9).astype(dtype)
    onward.convert(function, (left, right))


@pytest.mark.parametrize("function", [lax.population_count, lax.clz, lax.bitwise_not, jnp.abs, jnp.sign], ids=lambda item: item.__name__)
def test_bits(function: Callable[..., Any]) -> None:
    for dtype in (np.int8, np.uint16, np.int32, np.uint32):
        limits = np.iinfo(dtype)
        onward.convert(function, (np.array([0, 1, 2, 5, 100, limits.max, limits.min, limits.max // 3], dtype),))


@pytest.mark.parametrize("target", [np.int8, np.uint8, np.int32, np.uint32, np.bool_, np.float16, ml_dtypes.bfloat16], ids=str)
def test_types_are_changed_as_jax_does(target: Any) -> None:
    numbers = np.concatenate([EDGES, np.array([3e9, -3e9, 2147483648, -2147483648, 300, -300, 1e20], np.float32)])
    onward.convert(lambda x: x.astype(target), (numbers,))


SHAPES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "transposed": (lambda x: jnp.transpose(x, (2, 0, 1)), (real(2, 3, 4),)),
    "flattened": (lambda x: x.reshape(x.shape[0], -1), (real(2, 3, 4),)),
    "joined": (lambda x, y: jnp.concatenate([x, y], 1), (real(2, 3), real(2, 5))),
    "stacked": (lambda x, y: jnp.stack([x, y], 1), (real(2, 3), real(2, 3))),
    "split": (lambda x: jnp.split(x, [1, 3], 1), (real(2, 4),)),
    "sliced": (lambda x: x[:, 1:-1:2, None], (real(2, 7),)),
    "the last": (lambda x: x[:, -1], (real(2, 7),)),
    "turned round": (lambda x: x[::-1, ::-1], (real(3, 4),)),
    "rolled": (lambda x: jnp.roll(x, 2, 1), (real(3, 4),)),
    "padded": (lambda x: lax.pad(x, 1.5, ((1, 2, 0), (-1, 0, 2))), (real(3, 4),)),
    "tiled": (lambda x: jnp.tile(x, (2, 3)), (real(3, 4),)),
    "repeated": (lambda x: jnp.repeat(x, 3, 1), (real(3, 4),)),
    "counted": (lambda x: x + jnp.arange(x.shape[0])[:, None], (real(3, 4),)),
    "triangle": (lambda x: jnp.tril(x) + jnp.triu(x, 1), (real(3, 3),)),
    "reflected": (lambda x: jnp.pad(x, ((0, 0), (2, 2)), mode="reflect"), (real(3, 5),)),
    "diagonal": (lambda x: jnp.diagonal(x), (real(4, 4),)),
    "chosen": (lambda c, x, y: jnp.where(c, x, y), (whole(3, 4) > 0, real(3, 4), real(3, 4))),
    "by number": (lambda i, x, y: lax.select_n(i % 2, x, y), (np.abs(whole(3, 4)), real(3, 4), real(3, 4))),
}
REDUCTIONS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    **{name: (functools.partial(getattr(jnp, name), axis=1), (real(3, 4, 2),))
       for name in ("sum", "prod", "max", "min", "mean", "var", "std", "argmax", "argmin", "cumsum", "cumprod", "median", "any", "all")},
    "nan comes first": (lambda x: (jnp.argmax(x, 1), jnp.argmin(x, 1), jnp.max(x, 1)), (np.array([[1, np.nan, 3], [4, 2, 4]], np.float32),)),
    "bits together": (lambda x: (jnp.bitwise_and.reduce(x, 1), jnp.bitwise_or.reduce(x, 1), jnp.bitwise_xor.reduce(x, 1)), (whole(3, 4),)),
    "running": (lambda x: (lax.cummax(x, 1), lax.cummin(x, 0, reverse=True), lax.cumlogsumexp(x, 1)), (real(3, 4),)),
    "by a function": (lambda x: lax.reduce(x, 1.0, lambda a, b: a * 0.5 + b * 0.5, (1,)), (real(3, 4),)),
    "log of sum": (lambda x: jax.nn.logsumexp(x, -1), (real(3, 4),)),
    "sorted": (lambda x: jnp.sort(x, 1), (np.array([[3, np.nan, -np.inf, 0], [1, 1, -1, np.inf]], np.float32),)),
    "order": (lambda x: jnp.argsort(x, 0), (whole(7, 3),)),
    "two keys": (lambda x, y, z: lax.sort((x, y, z), num_keys=2), (whole(9) % 3, whole(9) % 2, real(9))),
    "descending": (lambda x: jnp.sort(x, descending=True), (real(9),)),
    "greatest": (lambda x: lax.top_k(x, 2), (real(3, 5),)),
    "counts": (lambda x: jnp.bincount(x, length=5), (np.array([0, 1, 1, 4], np.int32),)),
    "places in order": (lambda x, y: jnp.searchsorted(x, y), (np.sort(real(9)), real(4))),
    "associative": (lambda x: lax.associative_scan(jnp.add, x), (real(6, 2),)),
}  # fmt: skip
PRODUCTS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "matrices": (jnp.matmul, (real(3, 4), real(4, 5))),
    "batches": (jnp.matmul, (real(2, 3, 4), real(2, 4, 5))),
    "vector": (jnp.matmul, (real(3, 4), real(4))),
    "outer": (jnp.outer, (real(3), real(4))),
    "attention scores": (lambda q, k: jnp.einsum("bqhd,bkhd->bhqk", q, k), (real(2, 3, 2, 4), real(2, 5, 2, 4))),
    "two axes": (lambda x, y: jnp.tensordot(x, y, 2), (real(2, 3, 4), real(3, 4, 5))),
    "several": (lambda x, y, z: jnp.einsum("ij,jk,kl->li", x, y, z), (real(2, 3), real(3, 4), real(4, 2))),
    "bytes": (lambda x, y: lax.dot(x, y, preferred_element_type=np.int32), (whole(3, 4, dtype=np.int8), whole(4, 2, dtype=np.int8))),
}
PLACES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "rows": (lambda x, i: x[i], (real(5, 3), np.array([0, 4, -1, 2], np.int32))),
    "rows taken": (lambda x, i: jnp.take(x, i, axis=1), (real(5, 3), np.array([0, 2, -1, 7, -9], np.int32))),
    "clipped": (lambda x, i: jnp.take(x, i, axis=0, mode="clip"), (real(5, 3), np.array([0, 2, -1, 7, -9], np.int32))),
    "wrapped": (lambda x, i: jnp.take(x, i, axis=0, mode="wrap"), (real(5, 3), np.array([0, 2, -1, 7, -9], np.int32))),
    "filled": (lambda x, i: x.at[i].get(mode="fill", fill_value=5), (real(5, 3), np.array([0, 2, -1, 7, -9], np.int32))),
    "pairs": (lambda x, i, j: x[i, :, j], (real(5, 3, 4), whole(6, low=0, high=5), whole(6, low=0, high=4))),
    "along": (lambda x, i: jnp.take_along_axis(x, i, 1), (real(3, 4), whole(3, 2, low=0, high=4))),
    "one": (lambda x, i: x[i], (real(5, 3), np.int32(2))),
    "window": (lambda x, i, j: lax.dynamic_slice(x, (i, j), (2, 2)), (real(5, 3), np.int32(9), np.int32(1))),
    "written": (lambda x, y, i: lax.dynamic_update_slice(x, y, (i, 0)), (real(5, 3), real(2, 3), np.int32(4))),
    "set": (lambda x, i: x.at[i].set(2.0), (real(5, 3), np.array([0, 9, -1], np.int32))),
    "added": (lambda x, i, y: x.at[i].add(y), (real(5, 3), np.array([0, 0, 9, -1], np.int32), real(4, 3))),
    "less": (lambda x, i, y: x.at[:, i].subtract(y), (real(3, 5), np.array([0, 0, 3], np.int32), real(3, 3))),
    "times": (lambda x, i, y: x.at[i, 1].multiply(y), (real(5, 3), np.array([0, 0, 3], np.int32), real(3))),
    "most": (lambda x, i, y: x.at[i].max(y).at[i].min(0.5), (real(5), np.array([0, 0, 3], np.int32), real(3))),
    "windows": (lambda x, i: jax.vmap(lambda at: lax.dynamic_slice(x, (at,), (3,)))(i), (real(9), np.array([0, 3, 8, -4], np.int32))),
    "truth": (lambda x, i: x.at[i].set(True), (np.zeros(5, bool), np.array([1, 3], np.int32))),
    "segments": (lambda x, i: jax.ops.segment_sum(x, i, 4), (real(6, 2), whole(6, low=0, high=4))),
    "in batches": (jax.vmap(lambda x, i: x[i]), (real(4, 5, 2), whole(4, 3, low=0, high=5))),
}
LOOPS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "scan": (lambda x: lax.scan(lambda c, t: (c + t, c * t), jnp.zeros(3), x), (real(5, 3),)),
    "backwards": (lambda x: lax.scan(lambda c, t: (c + t, c * t), jnp.zeros(3), x, reverse=True), (real(5, 3),)),
    "counted": (lambda x: lax.fori_loop(0, 4, lambda i, c: c * 0.5 + i, x), (real(3),)),
    "numbers of turns": (lambda x: lax.scan(lambda c, _: (c * 0.5, c.sum()), x, None, length=3), (real(3),)),
    "while for each": (
        jax.vmap(lambda x, n: lax.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * 0.5 + x), (0, x))),
        (real(4, 3), np.array([2, 0, 5, 1], np.int32)),
    ),
    "while for each of each": (
        jax.vmap(jax.vmap(lambda x: lax.while_loop(lambda c: jnp.abs(c[1]) < 4, lambda c: (c[0] * 1j, 2 * c[1]), (x + 1j, x)))),
        (real(2, 3),),
    ),
    "while": (lambda x: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * 0.5 + x), (0, x)), (real(3),)),
    "branch": (lambda x: lax.cond(x.sum() > 0, jnp.sin, jnp.cos, x), (real(3),)),
    "switch": (lambda i, x: lax.switch(i, [jnp.sin, jnp.cos, jnp.tanh], x), (np.int32(7), real(3))),
    "map": (lambda x: lax.map(lambda row: row / row.sum(), x), (np.abs(real(4, 3)),)),
}
ALGEBRA: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "spectrum": (jnp.fft.rfft, (real(2, 6),)),
    "and back": (lambda x: jnp.fft.irfft(jnp.fft.rfft(x) * 2), (real(2, 6),)),
    "of two axes": (lambda x: jnp.abs(jnp.fft.fft2(x)), (real(2, 6),)),
    "complex arithmetic": (lambda x, y: (x + 1j * y) * (y - 2j * x) / (1 + x * x + 1j * y), (real(3), real(3))),
    "complex input": (lambda z: z * z.conj(), ((real(3) + 1j * real(3)).astype(np.complex64),)),
    "qr": (lambda x: jnp.linalg.qr(x + 4 * jnp.eye(5, 3)), (real(2, 5, 3),)),
    "qr of wide matrices": (lambda x: jnp.linalg.qr(x + 4 * jnp.eye(3, 5)), (real(3, 5),)),
    "complete qr": (lambda x: jnp.linalg.qr(x + 4 * jnp.eye(5, 3), mode="complete")[1], (real(5, 3),)),
    "eigenvalues": (lambda x: jnp.linalg.eigvalsh(x), (real(2, 4, 4),)),
    "eigenvectors": (lambda x: (lambda values, vectors: (vectors * jnp.exp(values[None])) @ vectors.T)(*jnp.linalg.eigh(x)), (real(5, 5),)),
    "singular values": (lambda x: jnp.linalg.svd(x, compute_uv=False), (real(2, 5, 3),)),
    "singular vectors": (lambda x: (lambda u, s, v: (u * s**2) @ v)(*jnp.linalg.svd(x, full_matrices=False)), (real(3, 5),)),
    "pseudo-inverse": (lambda x: jnp.linalg.pinv(x), (real(5, 3),)),
    "least squares": (lambda a, b: jnp.linalg.lstsq(a, b)[0], (real(5, 3), real(5))),
    "greatest singular value": (lambda x: jnp.linalg.norm(x, 2), (real(4, 3),)),
    "factor": (lambda x: jnp.linalg.cholesky(x @ x.T + 3 * jnp.eye(4)), (real(4, 4),)),
    "solution": (lambda x, y: jnp.linalg.solve(x @ x.T + 3 * jnp.eye(4), y), (real(4, 4), real(4))),
    "determinant": (lambda x: jnp.linalg.det(x @ x.T + 3 * jnp.eye(4)), (real(4, 4),)),
}
CASES = {**SHAPES, **REDUCTIONS, **PRODUCTS, **PLACES, **LOOPS, **ALGEBRA}


@pytest.mark.parametrize("name", CASES)
def test_cases(name: str) -> None:
    function, arguments = CASES[name]
    onward.convert(function, arguments)


@pytest.mark.parametrize("name", ["sorted", "rows", "added", "scan", "while", "while for each", "branch", "attention scores", "padded"])
def test_the_model_is_valid_for_others(name: str) -> None:
    function, arguments = CASES[name]
    model = onward.convert(function, arguments)
    session = onnxruntime.InferenceSession(model.to_bytes(), providers=["CPUExecutionProvider"])
    ports = session.get_inputs()
    results = session.run(None, dict(zip([port.name for port in ports], arguments, strict=True)))
    for ours, theirs in zip(results, jax.tree_util.tree_leaves(function(*map(jnp.asarray, arguments))), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "function, expected",
    [(jax.nn.softmax, ["Softmax"]), (jax.nn.log_softmax, ["LogSoftmax"]), (jax.nn.gelu, ["Gelu"]), (jax.nn.relu, ["Relu"]),
     (functools.partial(jax.nn.gelu, approximate=False), ["Gelu"]), (jax.nn.sigmoid, ["Sigmoid"])],
    ids=["softmax", "log_softmax", "gelu", "relu", "exact gelu", "sigmoid"],
)  # fmt: skip
def test_high_level_operators_stay_whole(function: Callable[..., Any], expected: list[str]) -> None:
    assert kinds(onward.convert(function, (real(2, 3),))) == expected


def test_random_numbers_are_those_of_the_key() -> None:
    model = onward.convert(lambda seed: jax.random.uniform(jax.random.key(seed), (3,)), (np.int32(5),))
    (found,) = onward.InferenceSession(model.to_bytes()).run(None, {"seed": np.int32(11)})
    np.testing.assert_array_equal(found, jax.random.uniform(jax.random.key(11), (3,)))


def test_sizes_stay_open_where_they_can() -> None:
    weights = real(4, 6)
    model = onward.convert(functools.partial(lambda w, x: jnp.tanh(x @ w), weights), (real(2, 7, 4),))
    (port,) = model.graph.inputs
    assert [str(extent) for extent in port.shape] == ["batch", "x_1", "4"]
    assert model.graph.initializers["w"].tensor.numpy().shape == (4, 6)
    certificate = Certificate.of(model)
    assert certificate is not None
    assert "input 'x' has fixed sizes ['?', '?', 4]" in certificate.notes
    fixed = onward.convert(jnp.tanh, (real(2, 3),), dynamic_shapes={})
    assert fixed.graph.inputs[0].shape == (2, 3)
    chosen = onward.convert(jnp.tanh, (real(2, 3),), dynamic_shapes=({0: "rows"},))
    assert [str(extent) for extent in chosen.graph.inputs[0].shape] == ["rows", "3"]


def test_structures_give_names() -> None:
    def function(tokens: Any, options: Any) -> Any:
        return {"sum": tokens["ids"] + options[0], "pair": (tokens["mask"], options[1] * 2)}

    model = onward.convert(function, ({"ids": whole(3), "mask": real(3)}, [whole(3), real(3)]))
    assert [port.name for port in model.graph.inputs] == ["tokens_ids", "tokens_mask", "options_0", "options_1"]
    assert [port.name for port in model.graph.outputs] == ["pair_0", "pair_1", "sum"]


def test_double_precision_is_kept() -> None:
    with jax.enable_x64(True):
        model = onward.convert(lambda x: jnp.exp(x) @ x.T, (random.standard_normal((3, 4)),))
    assert model.graph.outputs[0].dtype.name == "DOUBLE"


def test_shapes_alone_are_examples() -> None:
    onward.convert(jnp.sin, (jax.ShapeDtypeStruct((2, 3), jnp.float32),))


def test_all_that_is_missing_is_named_at_once() -> None:
    def function(x: Any) -> Any:
        return jax.pure_callback(np.sin, x, x), lax.rng_uniform(0.0, 1.0, (3,))

    with pytest.raises(UnsupportedOperator, match=r"2 primitives(.|\n)*pure_callback at .*test_functions.py:\d+(.|\n)*rng_uniform"):
        onward.convert(function, (real(3),))


def test_wrong_use_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="example_inputs are needed"):
        onward.convert(jnp.sin)
    with pytest.raises(ConversionError, match="cannot capture"):
        onward.convert(lambda x: x if x.sum() > 0 else -x, (real(3),))
    with pytest.raises(InvalidArgument, match="2 names were given"):
        onward.convert(jnp.sin, (real(3),), input_names=["a", "b"])


def test_nodes_say_where_they_come_from() -> None:
    model = onward.convert(jax.named_scope("head")(lambda x: jnp.sin(x)), (real(3),))
    (node,) = [node for node in model.graph.nodes if node.op_type == "Sin"]
    assert node.metadata["onward.module"] == "head"
    assert "test_functions.py:" in node.metadata["onward.source"]


def test_padding_that_follows_open_sizes() -> None:
    """Of plain windows ONNX pads by itself; dilated ones are padded before."""
    kernel, axes = real(3, 2, 3, 4), ("NHWC", "HWIO", "NHWC")

    def function(x: Any) -> Any:
        return [
            lax.conv_general_dilated(x, kernel, (2, 3), "SAME", dimension_numbers=axes),
            lax.conv_general_dilated(x, kernel, (2, 1), "SAME_LOWER", rhs_dilation=(1, 2), dimension_numbers=axes),
            lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 2, 1), (1, 2, 2, 1), "SAME"), lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 3, 1), "SAME_LOWER"),
        ]  # fmt: skip

    model = onward.convert(function, (real(2, 9, 8, 3),))
    assert {node.attribute("auto_pad", None) for node in model.graph.nodes if node.op_type in ("Conv", "MaxPool", "AveragePool")} == {
        "SAME_UPPER",
        "SAME_LOWER",
        None,
    }
    assert all(not isinstance(extent, int) for value in model.graph.outputs for extent in value.shape[:3])

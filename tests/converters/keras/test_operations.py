"""Functions of keras.ops: those with a translation of their own, and all others, which are read through JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import onward

keras = pytest.importorskip("keras")
pytest.importorskip("jax")

O = keras.ops  # noqa: E741
random = np.random.default_rng(4)
OTHER = random.standard_normal((4, 4)).astype(np.float32)
WHOLE = random.integers(1, 9, (4, 4)).astype(np.int32)


class Function(keras.layers.Layer):
    """A function of keras.ops as a layer."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)


def integers(x: Any) -> Any:
    """Small whole numbers that follow from x."""
    return O.cast(O.clip(O.floor(x * 3), -6, 6), "int32") + 7


def positive(x: Any) -> Any:
    return O.exp(O.clip(x, -2, 2))


def invertible(x: Any) -> Any:
    """Matrices far from singular."""
    return O.tanh(x) + 4 * O.eye(4)


def symmetric(x: Any) -> Any:
    y = O.tanh(x)
    return O.matmul(y, O.transpose(y, (0, 2, 1))) + 2 * O.eye(4)


NUMBERS: dict[str, Callable[[Any], Any]] = {
    "append": lambda x: O.append(x, O.sin(x), axis=1), "arctan2": lambda x: O.arctan2(x, OTHER), "argsort": lambda x: O.argsort(x, axis=1),
    "array_split": lambda x: O.array_split(x, 3, axis=1), "average": lambda x: O.average(x, axis=1, weights=np.arange(1.0, 5.0, dtype=np.float32)),
    "bitwise_and": lambda x: O.bitwise_and(integers(x), WHOLE),
    "bitwise_or": lambda x: O.bitwise_or(integers(x), WHOLE), "bitwise_xor": lambda x: O.bitwise_xor(integers(x), WHOLE),
    "bitwise_invert": lambda x: O.bitwise_invert(integers(x)), "bitwise_left_shift": lambda x: O.bitwise_left_shift(integers(x), 2),
    "bitwise_right_shift": lambda x: O.bitwise_right_shift(integers(x), 1), "cbrt": lambda x: O.cbrt(x), "correlate": lambda x: O.correlate(O.reshape(x, (-1, 16))[0], OTHER[0], mode="valid"),
    "count_nonzero": lambda x: O.count_nonzero(O.relu(x), axis=1), "cross": lambda x: O.cross(x[:, :, :3], OTHER[:, :3]),
    "cumprod": lambda x: O.cumprod(O.tanh(x), axis=1), "cumsum": lambda x: O.cumsum(O.tanh(x), axis=2), "deg2rad": lambda x: O.deg2rad(x),
    "diag": lambda x: O.diag(O.reshape(x, (-1, 16))[0, :4]), "diagflat": lambda x: O.diagflat(O.reshape(x, (-1, 16))[0, :4]), "diagonal": lambda x: O.diagonal(x, 1, 1, 2), "diff": lambda x: O.diff(x, axis=1),
    "digitize": lambda x: O.digitize(x, np.array([-1.0, 0.0, 0.5], np.float32)), "divide_no_nan": lambda x: O.divide_no_nan(x, O.relu(x)),
    "dot": lambda x: O.dot(x, OTHER), "empty_like": lambda x: O.where(O.ones_like(x) > 0, x, O.empty_like(x)), "exp2": lambda x: O.exp2(O.tanh(x)), "fabs": lambda x: O.fabs(x),
    "fliplr": lambda x: O.fliplr(x), "flipud": lambda x: O.flipud(x), "floor_divide": lambda x: O.floor_divide(integers(x), 3),
    "fmax": lambda x: O.fmax(x, OTHER), "fmin": lambda x: O.fmin(x, OTHER), "fmod": lambda x: O.fmod(x, 0.75), "full_like": lambda x: O.full_like(x, 3.0),
    "gcd": lambda x: O.gcd(integers(x), WHOLE), "lcm": lambda x: O.lcm(integers(x), WHOLE), "heaviside": lambda x: O.heaviside(x, 0.5), "hstack": lambda x: O.hstack([x, x]),
    "hypot": lambda x: O.hypot(x, OTHER), "imag": lambda x: O.imag(x), "real": lambda x: O.real(x), "inner": lambda x: O.inner(x, OTHER),
    "isin": lambda x: O.isin(integers(x), np.array([3, 5, 7], np.int32)), "isclose": lambda x: O.isclose(x, O.round(x), rtol=0.2), "isfinite": lambda x: O.isfinite(x),
    "isneginf": lambda x: O.isneginf(x), "isposinf": lambda x: O.isposinf(x), "kron": lambda x: O.kron(O.reshape(x, (-1, 16))[:1, :4], OTHER[:2, :2]),
    "ldexp": lambda x: O.ldexp(x, WHOLE), "log10": lambda x: O.log10(positive(x)), "log2": lambda x: O.log2(positive(x)),
    "logaddexp": lambda x: O.logaddexp(x, OTHER), "logaddexp2": lambda x: O.logaddexp2(x, OTHER), "linspace": lambda x: O.linspace(x, OTHER, 3), "logspace": lambda x: O.logspace(O.tanh(x), O.tanh(OTHER), 3),
    "geomspace": lambda x: O.geomspace(positive(x), positive(OTHER), 3), "median": lambda x: O.median(x, axis=1), "meshgrid": lambda x: O.meshgrid(O.reshape(x, (-1, 16))[0], OTHER[0]),
    "mod": lambda x: O.mod(x, 0.75), "nan_to_num": lambda x: O.nan_to_num(x), "nanmax": lambda x: O.nanmax(x, axis=1), "nanmin": lambda x: O.nanmin(x, axis=1), "nansum": lambda x: O.nansum(x, axis=1),
    "nanmean": lambda x: O.nanmean(x, axis=1), "outer": lambda x: O.outer(O.reshape(x, (-1, 16))[0], OTHER[0]),
    "quantile": lambda x: O.quantile(x, 0.3, axis=1), "percentile": lambda x: O.percentile(x, 30.0, axis=1), "ptp": lambda x: O.ptp(x, axis=1), "rad2deg": lambda x: O.rad2deg(x), "roll": lambda x: O.roll(x, 1, axis=1),
    "rot90": lambda x: O.rot90(x, axes=(1, 2)), "round": lambda x: O.round(x, 1), "searchsorted": lambda x: O.searchsorted(np.array([-1.0, 0.0, 0.5], np.float32), O.reshape(x, (-1, 16))[0]),
    "select": lambda x: O.select([x > 0, x < -1], [x, 2 * x], 5.0), "signbit": lambda x: O.signbit(x), "sinc": lambda x: O.sinc(O.tanh(x)), "size": lambda x: x * float(np.prod(x.shape[1:])),
    "sort": lambda x: O.sort(x, axis=1), "tensordot": lambda x: O.tensordot(x, OTHER, axes=1), "trace": lambda x: O.trace(x, axis1=1, axis2=2), "trapezoid": lambda x: O.trapezoid(x, axis=1), "tril": lambda x: O.tril(x), "triu": lambda x: O.triu(x, 1),
    "trunc": lambda x: O.trunc(x), "vander": lambda x: O.vander(O.tanh(O.reshape(x, (-1, 16))[0]), 3), "vdot": lambda x: O.vdot(O.reshape(x, (-1, 16))[0, :4], OTHER[0]),
    "vstack": lambda x: O.vstack([x, x]), "view": lambda x: O.view(x, "int32"),
}  # fmt: skip

NETWORKS: dict[str, Callable[[Any], Any]] = {
    "binary_crossentropy": lambda x: O.binary_crossentropy(O.sigmoid(x), O.sigmoid(OTHER * O.ones_like(x))), "categorical_crossentropy": lambda x: O.categorical_crossentropy(O.softmax(x), O.softmax(O.sin(x))),
    "sparse_categorical_crossentropy": lambda x: O.sparse_categorical_crossentropy(O.clip(integers(x)[:, :, 0] - 5, 0, 3), O.softmax(x)),
    "conv_transpose": lambda x: O.conv_transpose(x, OTHER[:3, :4, None] * np.ones((3, 4, 4), np.float32), strides=2), "depthwise_conv": lambda x: O.depthwise_conv(x, OTHER[:2, :4, None], padding="same"),
    "separable_conv": lambda x: O.separable_conv(x, OTHER[:2, :4, None], OTHER[None]), "glu": lambda x: O.glu(x), "multi_hot": lambda x: O.multi_hot(integers(x)[:, :, 0], 15), "polar": lambda x: O.real(O.polar(positive(x), OTHER * O.ones_like(x))),
    "sparse_plus": lambda x: O.sparse_plus(x), "sparse_sigmoid": lambda x: O.sparse_sigmoid(x), "squareplus": lambda x: O.squareplus(x), "threshold": lambda x: O.threshold(x, 0.5, 2.0),
    "psnr": lambda x: O.psnr(x, OTHER * O.ones_like(x), 4.0), "adaptive_average_pool": lambda x: O.adaptive_average_pool(x, 3), "adaptive_max_pool": lambda x: O.adaptive_max_pool(x, 3),
    "depth_to_space": lambda x: O.depth_to_space(x[:, :, None] * np.ones((1, 1, 3, 1), np.float32), 2), "space_to_depth": lambda x: O.space_to_depth(O.expand_dims(x, -1), 2),
    "unfold": lambda x: O.unfold(O.expand_dims(x, 1), 2), "fold": lambda x: O.fold(O.unfold(O.expand_dims(x, 1), 2, stride=2), (4, 4), 2, stride=2),
    "cdist": lambda x: O.cdist(x, OTHER), "erfinv": lambda x: O.erfinv(O.tanh(O.clip(x, -2, 2))), "erfc": lambda x: O.erfc(x), "extract_sequences": lambda x: O.extract_sequences(O.reshape(x, (-1, 16)), 6, 2),
    "fft": lambda x: O.fft((x, O.sin(x))), "fft2": lambda x: O.fft2((x, O.sin(x))), "ifft2": lambda x: O.ifft2((x, O.sin(x))), "rfft": lambda x: O.rfft(x), "irfft": lambda x: O.irfft((x, O.sin(x))), "stft": lambda x: O.stft(O.reshape(x, (-1, 16)), 8, 4, 8),
    "in_top_k": lambda x: O.in_top_k(np.array([1, 2, 3, 0], np.int32), O.tanh(x[0]), 2), "logdet": lambda x: O.logdet(symmetric(x)), "logsumexp": lambda x: O.logsumexp(x, axis=1),
    "segment_sum": lambda x: O.segment_sum(O.reshape(x, (-1, 16))[0], np.arange(16) // 3, 6), "segment_max": lambda x: O.segment_max(O.reshape(x, (-1, 16))[0], np.arange(16) // 3, 6), "top_k": lambda x: O.top_k(x, 2)[0],
    "det": lambda x: O.det(invertible(x)), "inv": lambda x: O.inv(invertible(x)), "norm": lambda x: O.norm(x, axis=1) + O.norm(x, ord=float("inf"), axis=-1), "cholesky": lambda x: O.cholesky(symmetric(x)), "solve": lambda x: O.solve(invertible(x), O.sin(x)),
    "slogdet": lambda x: O.slogdet(invertible(x)),
    "rgb_to_grayscale": lambda x: O.image.rgb_to_grayscale(O.expand_dims(x[:, :, :3], 1)), "rgb_to_hsv": lambda x: O.image.rgb_to_hsv(O.sigmoid(O.expand_dims(x[:, :, :3], 1))), "hsv_to_rgb": lambda x: O.image.hsv_to_rgb(O.sigmoid(O.expand_dims(x[:, :, :3], 1))),
    "extract_patches": lambda x: O.image.extract_patches(O.expand_dims(x, -1), (2, 2)), "map_coordinates": lambda x: O.image.map_coordinates(x[0], np.array([[0.5, 1.2], [1.0, 2.7]], np.float32), 1), "gaussian_blur": lambda x: O.image.gaussian_blur(O.expand_dims(x, -1)),
    "crop_images": lambda x: O.image.crop_images(O.expand_dims(x, -1), 1, 1, target_height=2, target_width=2), "pad_images": lambda x: O.image.pad_images(O.expand_dims(x, -1), 1, 1, 1, 0), "affine_transform": lambda x: O.image.affine_transform(O.expand_dims(x[0], -1), np.array([1, 0.1, 0, 0, 1, 0.2, 0, 0], np.float32)),
    "scatter": lambda x: O.scatter(np.array([[1], [3]], np.int32), x[0, :2], (5, 4)), "scatter_update": lambda x: O.scatter_update(x[0], np.array([[1], [3]], np.int32), O.sin(x[0, :2])),
    "slice": lambda x: O.slice(x[:1], (0, 1, 1), (1, 2, 3)), "slice_update": lambda x: O.slice_update(x[0], np.array([1, 1]), O.sin(x[0, :2, :2])), "unstack": lambda x: O.unstack(x, axis=1), "saturate_cast": lambda x: O.saturate_cast(x * 100, "uint8"),
    "scan": lambda x: O.scan(lambda state, item: (state + item, state * item), O.zeros((4,)), O.tanh(x[0]))[1], "fori_loop": lambda x: O.fori_loop(0, 3, lambda step, state: O.tanh(state) + step, x), "map": lambda x: O.map(lambda row: O.sin(row) * 2, x[0]),
    "while_loop": lambda x: O.while_loop(lambda state: O.sum(state) < 50, lambda state: (O.abs(state) + 1,), (O.tanh(x[0]),))[0], "vectorized_map": lambda x: O.vectorized_map(lambda row: O.cumsum(row), O.tanh(x[0])), "switch": lambda x: O.switch(1, [lambda y: y + 1, lambda y: y * 2], x),
    "get_item": lambda x: x[:, O.clip(integers(x)[0, :, 0] - 6, 0, 3)],
    "argpartition": lambda x: O.take_along_axis(x, O.argpartition(x, 1, axis=-1)[:, :, :1], -1),
}  # fmt: skip


@pytest.mark.parametrize("name", [*NUMBERS, *NETWORKS])
def test_a_function(name: str) -> None:
    function = {**NUMBERS, **NETWORKS}[name]
    onward.check(onward.convert(keras.Sequential([keras.Input((4, 4)), Function(function)])))

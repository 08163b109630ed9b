"""Functions of TensorFlow, each with the inputs that it takes: (name, function, specifications)."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops as XLA

R = tf.raw_ops
F, D, I, L, B, S = tf.float32, tf.float64, tf.int32, tf.int64, tf.bool, tf.string  # noqa: E741
Case = tuple[str, Any, list[tuple[Any, tf.DType]]]

UNARY = [
    "Abs",
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "Ceil",
    "Cos",
    "Cosh",
    "Erf",
    "Erfc",
    "Exp",
    "Expm1",
    "Floor",
    "IsFinite",
    "IsInf",
    "IsNan",
    "Lgamma",
    "Digamma",
    "Log",
    "Log1p",
    "Neg",
    "Reciprocal",
    "Rint",
    "Round",
    "Rsqrt",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Sqrt",
    "Square",
    "Tan",
    "Tanh",
    "Ndtri",
]
ACTIVATIONS = ["Elu", "Relu", "Relu6", "Selu", "Softplus", "Softsign", "LeakyRelu", "Softmax", "LogSoftmax"]
BINARY = [
    "AddV2",
    "Sub",
    "Mul",
    "RealDiv",
    "Maximum",
    "Minimum",
    "SquaredDifference",
    "FloorDiv",
    "FloorMod",
    "TruncateMod",
    "DivNoNan",
    "MulNoNan",
    "Xdivy",
    "Xlogy",
    "Xlog1py",
    "Atan2",
    "Less",
    "LessEqual",
    "Greater",
    "GreaterEqual",
    "Equal",
    "NotEqual",
    "Pow",
]
WHOLE = ["AddV2", "Sub", "Mul", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Maximum", "Minimum", "Less", "Equal"]


def _within(name: str, x: Any) -> Any:
    """Data inside what the function is defined for."""
    if name in ("Acos", "Asin", "Atanh", "Erfinv"):
        return tf.tanh(x) * 0.97
    if name == "Ndtri":
        return tf.sigmoid(x) * 0.98 + 0.01
    if name in ("Acosh", "Log", "Lgamma", "Digamma", "Rsqrt", "Sqrt", "Log1p"):
        return tf.abs(x) + 1.01
    if name in ("Exp", "Expm1", "Sinh", "Cosh", "Tan"):
        return tf.clip_by_value(x, -1.5, 5.0)
    return x


def _unary(name: str) -> Any:
    return lambda x: getattr(R, name)(x=_within(name, x))


def _activation(name: str) -> Any:
    return lambda x: getattr(R, name)(**{"logits" if "oftmax" in name else "features": x})


def _binary(name: str) -> Any:
    if name == "Pow":
        return lambda x, y: R.Pow(x=tf.abs(x) + 0.1, y=tf.clip_by_value(y, -2.0, 2.0))
    if name in ("Xlogy", "Xlog1py"):
        return lambda x, y: getattr(R, name)(x=x, y=tf.abs(y) + 0.1)
    if name in ("RealDiv", "Xdivy"):
        return lambda x, y: getattr(R, name)(x=x, y=y * y + 0.3)
    if name in ("FloorDiv", "FloorMod", "TruncateMod"):
        return lambda x, y: getattr(R, name)(x=x, y=tf.where(tf.abs(y) < 0.3, 0.75, y))
    return lambda x, y: getattr(R, name)(x=x, y=y)


def _whole(name: str) -> Any:
    return lambda x, y: getattr(R, name)(x=x - 3, y=y - 1)


def constant(*shape: int, seed: int = 0) -> Any:
    return tf.constant(np.random.default_rng(seed).standard_normal(shape), F)


def _segments(x: Any) -> Any:
    return tf.range(tf.shape(x)[0]) // 2 * 2


NUMBERS: list[Case] = [
    *[(name, _unary(name), [([None, 5], F)]) for name in UNARY],
    *[(f"{name} in double precision", _unary(name), [([3, None], D)]) for name in ("Erfc", "Lgamma", "Digamma", "Erfinv", "Log1p")],
    *[(name, _activation(name), [([None, 5], F)]) for name in ACTIVATIONS],
    *[(name, _binary(name), [([None, 5], F), ([5], F)]) for name in BINARY],
    *[(f"{name} of whole numbers", _whole(name), [([None, 4], I), ([None, 4], I)]) for name in WHOLE],
    ("FloorDiv of whole numbers", lambda x, y: (x - 5) // (y - 20), [([None], I), ([None], I)]),
    ("FloorMod of whole numbers", lambda x, y: (x - 5) % (y - 20), [([None], L), ([None], L)]),
    ("shifts", lambda x: [tf.bitwise.left_shift(x - 3, 2), tf.bitwise.right_shift(x - 30, 1)], [([None], I)]),
    ("Select", lambda x: R.Select(condition=tf.constant([True, False, True]), x=x, y=-x), [([3, None], F)]),
    ("SelectV2", lambda x: tf.where(x > 0, x, 0.5), [([None, 3], F)]),
    ("AddN", lambda x, y: tf.add_n([x, y, x]), [([None], F), ([None], F)]),
    ("Cast", lambda x: [tf.cast(x, I), tf.cast(x > 0, F), tf.cast(x, D), tf.cast(x, tf.float16)], [([None, 2], F)]),
    ("Cross", lambda x, y: tf.linalg.cross(x, y), [([None, 3], F), ([None, 3], F)]),
    ("ClipByValue", lambda x: tf.clip_by_value(x, -0.5, 0.7), [([None], F)]),
    ("gelu", lambda x: [tf.nn.gelu(x), tf.nn.gelu(x, approximate=True), tf.nn.silu(x)], [([None, 4], F)]),
]

REDUCED: list[Case] = [
    *[(name, lambda x, name=name: getattr(tf.math, f"reduce_{name}")(x, [0, -1], keepdims=True), [([None, 3, None], F)])
      for name in ["sum", "prod", "max", "min", "mean", "logsumexp", "variance", "euclidean_norm"]],
    ("all axes", lambda x: [tf.reduce_sum(x), tf.reduce_mean(x), tf.reduce_max(x)], [([None, 3], F)]),
    ("no axes", lambda x: tf.reduce_sum(x, []), [([None, 3], F)]),
    ("Mean of whole numbers", lambda x: tf.reduce_mean(x - 7, 1), [([None, 3], I)]),
    ("logical", lambda x: [tf.reduce_all(x > -1, 1), tf.reduce_any(x > 0.5, 0)], [([None, 3], F)]),
    ("places", lambda x: [tf.argmax(x, 1), tf.argmin(x, 0, I)], [([None, 3], F)]),
    ("Cumsum", lambda x: [tf.cumsum(x, 1), tf.cumsum(x, 0, exclusive=True, reverse=True)], [([None, 3], F)]),
    ("Cumprod", lambda x: [tf.math.cumprod(x, 1), tf.math.cumprod(x, 0, exclusive=True, reverse=True)], [([3, None], F)]),
    ("CumulativeLogsumexp", lambda x: tf.math.cumulative_logsumexp(x, 1), [([None, 4], F)]),
    ("L2Loss", tf.nn.l2_loss, [([None, 3], F)]),
    ("moments", lambda x: tf.nn.moments(x, [0]), [([None, 3], F)]),
]  # fmt: skip

SHAPED: list[Case] = [
    ("Reshape to a known size", lambda x: tf.reshape(x, [-1, 6]), [([None, 3, 4], F)]),
    ("Reshape to sizes of the run", lambda x: tf.reshape(x, [tf.shape(x)[0], tf.shape(x)[1] * 4]), [([None, None, 4], F)]),
    ("Reshape to two open sizes", lambda x: tf.reshape(x, tf.concat([[4], tf.shape(x)[:2]], 0)), [([None, None, 4], F)]),
    ("Transpose", lambda x: tf.transpose(x, [2, 0, 1]), [([None, 3, None], F)]),
    ("ExpandDims and Squeeze", lambda x: tf.squeeze(tf.expand_dims(x, -2), 2), [([None, 3, 2], F)]),
    ("StridedSlice", lambda x: [x[:, 1], x[::-1, :2], x[..., tf.newaxis, 0], x[-1], x[1:, ..., -2:]], [([None, 4, 3], F)]),
    ("StridedSlice by sizes", lambda x: x[:, : tf.shape(x)[0] - 1, tf.newaxis], [([None, 7], F)]),
    ("Slice", lambda x: tf.slice(x, [0, 1, 0], [-1, 2, 2]), [([None, 4, 3], F)]),
    ("ConcatV2 and Pack", lambda x, y: [tf.concat([x, y], -1), tf.stack([x, y], 1)], [([None, 3], F), ([None, 3], F)]),
    ("Unpack", lambda x: tf.unstack(x, axis=1), [([None, 3, 2], F)]),
    ("Split", lambda x: [*tf.split(x, 3, 1), *tf.split(x, [1, -1, 2], 1)], [([None, 6], F)]),
    ("Pad", lambda x: [tf.pad(x, [[1, 0], [2, 1]]), tf.pad(x, [[0, 2], [0, 0]], constant_values=7.0)], [([None, 3], F)]),
    ("MirrorPad", lambda x: [tf.pad(x, [[0, 0], [2, 1]], "REFLECT"), tf.pad(x, [[0, 0], [2, 1]], "SYMMETRIC")], [([None, 4], F)]),
    ("Tile", lambda x: tf.tile(x, [2, tf.shape(x)[0]]), [([None, 3], F)]),
    ("BroadcastTo and Fill", lambda x: [tf.broadcast_to(x, [2, tf.shape(x)[0], 3]), tf.fill(tf.shape(x), 3)], [([None, 3], F)]),
    ("Range", lambda x: [tf.range(tf.shape(x)[0]), tf.range(0.0, tf.cast(tf.shape(x)[0], F), 0.5)], [([None, 3], F)]),
    ("LinSpace", lambda x: tf.linspace(x, x + 3, 5), [([], F)]),
    ("ReverseV2", lambda x: tf.reverse(x, [0, 2]), [([None, 3, 2], F)]),
    ("ReverseSequence", lambda x: tf.reverse_sequence(x, tf.constant([1, 3, 2]), 1, 0), [([3, 4, None], F)]),
    ("Roll", lambda x: tf.roll(x, [1, -2], [0, 1]), [([None, 5], F)]),
    ("DepthToSpace", lambda x: [tf.nn.depth_to_space(x, 2), tf.nn.space_to_depth(x, 2)], [([None, 4, 6, 8], F)]),
    ("SpaceToBatch", lambda x: tf.space_to_batch(x, [2, 3], [[0, 0], [1, 1]]), [([None, 4, 4, 2], F)]),
    ("BatchToSpace", lambda x: tf.batch_to_space(tf.tile(x, [6, 1, 1, 1]), [2, 3], [[0, 1], [1, 0]]), [([None, 4, 4, 2], F)]),
    ("Shape, Size, Rank", lambda x: [tf.shape(x), tf.size(x, L), tf.rank(x)], [([None, 3], F)]),
    ("ZerosLike", lambda x: [tf.zeros_like(x), tf.ones_like(x)], [([None, 3], F)]),
]  # fmt: skip

INDEXED: list[Case] = [
    ("GatherV2", lambda x, i: [tf.gather(x, i), tf.gather(x, i, axis=1)], [([101, 101], F), ([None], I)]),
    ("GatherV2 in batches", lambda x, i: tf.gather(x, i, axis=2, batch_dims=1), [([None, 2, 101], F), ([None, 3], I)]),
    ("GatherNd", lambda x, i: [tf.gather_nd(x, i), tf.gather_nd(x, i[..., :1])], [([101, 101, 2], F), ([None, 2], I)]),
    ("OneHot", lambda i: [tf.one_hot(i - 1, 3), tf.one_hot(i, 3, 5, 2, axis=0)], [([None, 2], I)]),
    ("Where", lambda x: tf.where(x > 0), [([None, 3], F)]),
    ("TensorScatter", lambda x, i: [tf.tensor_scatter_nd_update(x, [[0], [2]], x[:2]), tf.tensor_scatter_nd_add(x, i, x[:2]),
     tf.tensor_scatter_nd_max(x, i, x[:2]), tf.tensor_scatter_nd_sub(x, i, x[:2])], [([101, None], F), ([2, 1], I)]),
    ("ScatterNd", lambda i: tf.scatter_nd(i, tf.ones(tf.shape(i)[0]), [101]), [([None, 1], I)]),
    ("unsorted segments", lambda x, i: [tf.math.unsorted_segment_sum(x, i - 1, 4), tf.math.unsorted_segment_max(x, i, 101),
     tf.math.unsorted_segment_mean(x, i, 101), tf.math.unsorted_segment_prod(x, i, 101)], [([4, 3], F), ([4], I)]),
    ("segments", lambda x: [getattr(tf.math, f"segment_{kind}")(x, _segments(x)) for kind in ["sum", "prod", "max", "min", "mean"]],
     [([None, 3], F)]),
    ("Bincount", lambda i: [tf.math.bincount(i, minlength=4, maxlength=4)], [([5], I)]),
    ("MatrixBandPart", lambda x: [tf.linalg.band_part(x, 1, -1), tf.linalg.band_part(x, 0, 2)], [([None, 4, 5], F)]),
    ("diagonals", lambda x: [tf.linalg.diag_part(x), tf.linalg.diag(x[..., 0]), tf.linalg.set_diag(x, x[..., 0]), tf.linalg.trace(x),
     tf.linalg.diag(x[..., 0], k=1), tf.linalg.diag_part(x, k=-1)], [([None, 4, 4], F)]),
    ("dynamic parts", lambda x: tf.dynamic_partition(x, tf.constant([0, 1, 0, 1]), 2), [([4, None], F)]),
    ("XlaDynamicUpdateSlice", lambda x, y, i: [XLA.xla_dynamic_update_slice(x, y[:1], [0, i, 1]), XLA.xla_dynamic_slice(x, [i, 0, i], [1, 2, 2])],
     [([None, 4, 3], F), ([None, 4, 2], F), ([], I)]),
    ("XlaDynamicUpdateSlice of whole axes", lambda x, y, i: XLA.xla_dynamic_update_slice(x, y, [i, i, 0]), [([5, 4, 3], F), ([2, 3, 3], F), ([], I)]),
    ("DynamicStitch", lambda x: tf.dynamic_stitch([[0, 2], [1, 2]], [x[:2], x[2:]]), [([4, None], F)]),
    ("TopKV2", lambda x: tf.math.top_k(x, 2), [([None, 5], F)]),
    ("sort", lambda x: [tf.sort(x), tf.argsort(x, direction="DESCENDING", stable=True)], [([None, 5], F)]),
    ("Unique", lambda i: tf.unique_with_counts(i), [([None], I)]),
    ("searchsorted", lambda x: [tf.searchsorted([0.0, 0.5, 1.0], x), tf.searchsorted([0.0, 0.5, 1.0], x, "right")], [([None], F)]),
    ("InTopK", lambda x: tf.math.in_top_k(tf.constant([0, 2, 1]), x, 2), [([3, 4], F)]),
    ("sequence_mask", lambda i: tf.sequence_mask(i, 5), [([None], I)]),
    ("boolean_mask", lambda x: tf.boolean_mask(x, x[:, 0] > 0), [([None, 3], F)]),
]  # fmt: skip

PICTURES: list[Case] = [
    *[(f"Conv2D {padding} {stride} {dilation}", lambda x, p=padding, s=stride, d=dilation: tf.nn.conv2d(x, constant(3, 2, 4, 5), s, p, dilations=d),
       [([None, 11, 12, 4], F)]) for padding in ("SAME", "VALID") for stride, dilation in ((1, 1), (2, 1), (1, 2))],
    ("Conv2D with open sizes", lambda x: tf.nn.conv2d(x, constant(3, 3, 4, 5), 2, "SAME"), [([None, None, None, 4], F)]),
    ("Conv2D with explicit padding", lambda x: tf.nn.conv2d(x, constant(3, 3, 4, 5), 2, [[0, 0], [1, 2], [0, 1], [0, 0]]), [([None, 8, 9, 4], F)]),
    ("grouped Conv2D", lambda x: tf.nn.conv2d(x, constant(3, 3, 2, 6), 1, "SAME"), [([None, 8, 9, 4], F)]),
    ("conv1d", lambda x: tf.nn.conv1d(x, constant(3, 4, 5), 2, "SAME"), [([None, 8, 4], F)]),
    ("Conv3D", lambda x: tf.nn.conv3d(x, constant(2, 3, 3, 2, 5), [1, 1, 2, 2, 1], "SAME"), [([None, 5, 6, 7, 2], F)]),
    ("DepthwiseConv2dNative", lambda x: tf.nn.depthwise_conv2d(x, constant(3, 3, 4, 2), [1, 2, 2, 1], "SAME"), [([None, 8, 9, 4], F)]),
    *[(f"transposed {padding}", lambda x, p=padding, n=size: tf.nn.conv2d_transpose(x, constant(3, 3, 5, 4), [tf.shape(x)[0], n, n, 5], 2, p),
       [([None, 4, 4, 4], F)]) for padding, size in (("SAME", 8), ("SAME", 7), ("VALID", 9), ("VALID", 10))],
    ("pools", lambda x: [tf.nn.max_pool2d(x, 3, 2, "SAME"), tf.nn.avg_pool2d(x, 3, 2, "SAME"), tf.nn.max_pool2d(x, 2, 1, "VALID")],
     [([None, 7, 8, 3], F)]),
    ("MaxPoolWithArgmax", lambda x: tf.nn.max_pool_with_argmax(x + constant(1, 7, 8, 3), 2, 2, "VALID"), [([None, 7, 8, 3], F)]),
    ("ExtractImagePatches", lambda x: tf.image.extract_patches(x, [1, 3, 2, 1], [1, 2, 2, 1], [1, 1, 2, 1], "SAME"), [([None, 7, 8, 3], F)]),
    *[(f"ExtractImagePatches of open sizes, {size}", lambda x, size=size: tf.image.extract_patches(x, [1, 4, size, 1], [1, 2, size, 1], [1, 1, 1, 1], "VALID"),
       [([1, None, None, 2], F)]) for size in (2, 5)],
    ("Dilation2D", lambda x: tf.nn.dilation2d(x, constant(3, 3, 3), [1, 2, 1, 1], "SAME", "NHWC", [1, 1, 2, 1]), [([None, 7, 8, 3], F)]),
    ("FusedBatchNormV3", lambda x: tf.compat.v1.nn.fused_batch_norm(x, constant(3), constant(3, seed=1), constant(3), tf.abs(constant(3)) + 1,
     is_training=False)[0], [([None, 4, 5, 3], F)]),
    ("LRN", lambda x: tf.nn.local_response_normalization(x, 2, 1.0, 0.5, 0.7), [([None, 4, 5, 8], F)]),
    *[(f"{name} {corners} {half}", lambda x, name=name, corners=corners, half=half: getattr(R, name)(
        images=x, size=[7, 5], align_corners=corners, half_pixel_centers=half), [([None, 4, 6, 3], F)])
      for name in ("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic") for corners, half in ((False, False), (True, False), (False, True))],
    ("colours", lambda x: [tf.image.rgb_to_hsv(tf.abs(x)), tf.image.hsv_to_rgb(tf.sigmoid(x)), tf.image.adjust_contrast(x, 1.5)], [([None, 4, 4, 3], F)]),
    ("CropAndResize", lambda x: [tf.image.crop_and_resize(x, [[0.1, 0.2, 0.9, 0.7], [-0.2, 0.9, 1.1, 0.1]], [0, 0], [4, 3], method, 2.0)
     for method in ("bilinear", "nearest")], [([None, 6, 7, 3], F)]),
    ("NonMaxSuppression", lambda x: tf.image.non_max_suppression(tf.concat([x[:, :2], x[:, :2] + 0.5 + tf.abs(x[:, 2:])], 1), x[:, 0], 3, 0.3),
     [([6, 4], F)]),
    ("FakeQuant", lambda x: [tf.quantization.fake_quant_with_min_max_args(x, -1.3, 2.0), tf.quantization.fake_quant_with_min_max_vars(
        x, -1.0, 0.7, 4, True)], [([None, 4], F)]),
    ("cross entropy", lambda x: [tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(x), x), tf.nn.sparse_softmax_cross_entropy_with_logits(
        tf.argmax(x, 1), x)], [([None, 4], F)]),
]  # fmt: skip

PRODUCTS: list[Case] = [
    ("MatMul", lambda x: [x @ constant(3, 4), tf.matmul(x, x, transpose_b=True), tf.matmul(x, x, transpose_a=True)], [([None, 3], F)]),
    (
        "MatMul of codes",
        lambda x: tf.matmul(*(tf.cast(tf.clip_by_value(item * 50, -127, 127), tf.int8) for item in (x, constant(3, 4))), output_type=tf.int32),
        [([None, 3], F)],
    ),
    ("BatchMatMulV2", lambda x: tf.matmul(x, x, adjoint_a=True), [([None, 2, 3, 4], F)]),
    ("Einsum", lambda x: [tf.einsum("bij,bkj->bik", x, x), tf.einsum("bii->b", x[:, :, :4])], [([None, 4, 5], F)]),
    ("MatrixDeterminant", tf.linalg.det, [([None, 3, 3], F)]),
    ("BiasAdd", lambda x: tf.nn.bias_add(x, constant(3)), [([None, 4, 3], F)]),
]


def _regular(x: Any) -> Any:
    """Matrices far from singular."""
    return tf.tanh(x) + 3.0 * tf.eye(3)


def _definite(x: Any) -> Any:
    return tf.matmul(tf.tanh(x), tf.tanh(x), transpose_b=True) + 2.0 * tf.eye(3)


MATRICES: list[Case] = [
    ("Cholesky", lambda x: tf.linalg.cholesky(_definite(x)), [([None, 3, 3], F)]),
    ("Qr", lambda x: [*tf.linalg.qr(_regular(x)), tf.linalg.qr(tf.concat([_regular(x), x], 1), full_matrices=True).r], [([None, 3, 3], F)]),
    ("Svd", lambda x: [tf.linalg.svd(_regular(x), compute_uv=False), tf.linalg.pinv(_regular(x))], [([None, 3, 3], F)]),
    ("SelfAdjointEigV2", lambda x: tf.linalg.eigvalsh(_definite(x)), [([None, 3, 3], F)]),
    ("Lu", lambda x: [*tf.linalg.lu(_regular(x))], [([None, 3, 3], F)]),
    ("MatrixTriangularSolve", lambda x: [tf.linalg.triangular_solve(_regular(x), x), tf.linalg.triangular_solve(_regular(x), x, lower=False, adjoint=True)], [([None, 3, 3], F)]),
    ("MatrixSolve", lambda x: [tf.linalg.solve(_regular(x), x), tf.linalg.solve(_regular(x), x, adjoint=True)], [([None, 3, 3], F)]),
    ("MatrixSolveLs", lambda x: [tf.linalg.lstsq(tf.concat([_regular(x), x], 1), tf.concat([x, x], 1), fast=fast) for fast in (True, False)], [([None, 3, 3], F)]),
    ("MatrixInverse", lambda x: tf.linalg.inv(_regular(x)), [([None, 3, 3], F)]),
    ("LogMatrixDeterminant", lambda x: [*tf.linalg.slogdet(_regular(x)), tf.linalg.logdet(_definite(x))], [([None, 3, 3], F)]),
    ("MatrixExponential", lambda x: tf.linalg.expm(tf.tanh(x)), [([2, 3, 3], F)]),
    ("MatrixSquareRoot", lambda x: tf.linalg.sqrtm(_regular(x)), [([3, 3], F)]),
    ("Fresnel", lambda x: [tf.math.special.fresnel_sin(x), tf.math.special.fresnel_cos(x)], [([None, 3], D)]),
    ("HistogramFixedWidth", lambda x, i: [tf.histogram_fixed_width(x, [-1.0, 2.0], 5), tf.unravel_index(i, [3, 4, 9]), tf.broadcast_dynamic_shape(
        tf.concat([tf.shape(x), [1]], 0), tf.shape(x)[1:] * 0 + 7)], [([None, 1], F), ([None], I)]),
    ("TridiagonalMatMul", lambda x: R.TridiagonalMatMul(superdiag=x[:, :1], maindiag=x[:, 1:2], subdiag=x[:, 2:], rhs=tf.transpose(x, [0, 2, 1])), [([None, 3, 4], F)]),
    ("Igamma", lambda x, y: [tf.math.igamma(tf.abs(x) + 0.5, tf.abs(y)), tf.math.igammac(tf.clip_by_value(tf.abs(x), 0.5, 9.0), tf.abs(y))], [([None, 3], F), ([None, 3], F)]),
    ("Betainc", lambda x: tf.math.betainc(tf.clip_by_value(tf.abs(x), 0.5, 9.0), 2.0 + 0 * x, tf.sigmoid(x)), [([None, 3], F)]),
    ("Bessel", lambda x: [function(tf.clip_by_value(x, -5.0, 5.0)) for function in (tf.math.bessel_i0, tf.math.bessel_i0e, tf.math.bessel_i1, tf.math.bessel_i1e)], [([None, 3], F)]),
    ("BesselK1e", lambda x: tf.math.special.bessel_k1e(tf.abs(x) + 0.2), [([None, 3], D)]),
    ("Dawsn", lambda x: tf.math.special.dawsn(x), [([None, 3], D)]),
    ("TridiagonalSolve", lambda x: tf.linalg.tridiagonal_solve(x + tf.constant([[0.0], [9.0], [0.0]]), tf.transpose(x, [0, 2, 1]), partial_pivoting=True),
     [([None, 3, 4], F)]),
    ("Zeta", lambda x: tf.math.zeta(tf.clip_by_value(tf.abs(x), 0, 4) + 1.5, 1.5 + tf.zeros_like(x)), [([None, 3], F)]),
    ("Polygamma", lambda x: tf.math.polygamma(2.0 + tf.zeros_like(x), tf.abs(x) + 0.5), [([None, 3], F)]),
    ("Expint", lambda x: tf.math.special.expint(tf.clip_by_value(tf.abs(x), 0.1, 9.0)), [([None, 3], F)]),
    ("SparseToDense", lambda x: [
        tf.sparse.to_dense(tf.SparseTensor([[0, 1], [2, 0]], x[0, :2], [3, 4]), 7.0), R.SparseToDense(
            sparse_indices=[1, 3], output_shape=[5], sparse_values=x[0, 0], default_value=x[0, 1], validate_indices=False)], [([None, 3], F)]),
    ("SparseTensorDenseMatMul", lambda x: [
        tf.sparse.sparse_dense_matmul(tf.SparseTensor([[0, 1], [1, 0], [1, 0]], x[0, :3], [2, 3]), x[0] * tf.ones([3, 3])),
        tf.sparse.sparse_dense_matmul(tf.SparseTensor([[0, 1], [2, 0]], x[0, :2], [3, 3]), x, adjoint_a=True, adjoint_b=True)], [([None, 3], F)]),
    ("Spence", lambda x: tf.math.special.spence(tf.abs(x) + 0.1), [([None, 3], F)]),
]  # fmt: skip

TEXT: list[Case] = [
    ("StringLower", lambda x: [tf.strings.lower(x, "utf-8"), tf.strings.upper(x, "utf-8")], [([None, 2], S)]),
    ("StringJoin", lambda x: tf.strings.join([x, "-", x], " "), [([None], S)]),
    ("RegexFullMatch", lambda x: tf.strings.regex_full_match(x, "[a-z]+"), [([None], S)]),
    ("UnicodeDecode", lambda x: tf.strings.unicode_decode_with_offsets(x, "UTF-8", "strict")[0].to_tensor(), [([None], S)]),
    ("SparseCross", lambda x, y: tf.sparse.to_dense(tf.sparse.cross_hashed([x, y], 1000)), [([None, 2], I), ([None, 3], L)]),
    ("AsString", lambda x: tf.strings.as_string(x - 5), [([None], I)]),
    ("Equal of text", lambda x: tf.where(x == "the", 1, 0), [([None], S)]),
]

C = tf.complex64


def _real(x: Any) -> list[Any]:
    return [tf.math.real(x), tf.math.imag(x)]


FOURIER: list[Case] = [
    *[(name, lambda x, name=name: getattr(tf.signal, name)(x), [([None, 3, 4, 5], C)]) for name in ["fft", "ifft", "fft2d", "ifft2d", "fft3d", "ifft3d"]],
    *[(f"{name} {extent}", lambda x, name=name, extent=extent: getattr(tf.signal, name)(x, [extent] * max(1, int(name[4:5] or 1))),
       [([None, 4, 5, 6], F)]) for name in ["rfft", "rfft2d", "rfft3d"] for extent in (6, 5, 3)],
    *[(f"{name} {extent}", lambda x, name=name, extent=extent: getattr(tf.signal, name)(
        tf.signal.rfft(x, [extent]) if name == "irfft" else getattr(tf.signal, name[1:])(x, [extent] * int(name[5])), [extent] * max(1, int(name[5:6] or 1))),
       [([None, 4, 5, 6], F)]) for name in ["irfft", "irfft2d", "irfft3d"] for extent in (6, 5, 2)],
    ("complex structure", lambda x: [tf.reshape(x[:, 1:, ::-1], [-1, 2, 5]), *tf.unstack(tf.pad(tf.concat([x, x * x], 2), [[0, 0], [1, 0], [0, 2]]), axis=1), tf.reduce_mean(
        x, [1]), tf.gather(tf.transpose(x, [0, 2, 1]), [2, 0], axis=1), x @ tf.linalg.adjoint(x), tf.square(tf.roll(tf.tile(x, [1, 1, 2]), 1, 2))], [([None, 3, 5], C)]),
    ("complex arithmetic", lambda x, y: [x + y, x - y, x * y, x / (y * tf.math.conj(y) + 1), -x, tf.abs(x), tf.math.angle(x), *_real(x)],
     [([None, 3], C), ([None, 3], C)]),
    ("Complex", lambda x: tf.exp(tf.complex(tf.tanh(x), x)), [([None, 3], F)]),
]  # fmt: skip

FAMILIES = {
    "numbers": NUMBERS,
    "reductions": REDUCED,
    "shapes": SHAPED,
    "indices": INDEXED,
    "pictures": PICTURES,
    "products": PRODUCTS,
    "matrices": MATRICES,
    "text": TEXT,
    "Fourier": FOURIER,
}

"""Small functions of TensorFlow that between them need most builtin operators."""

from __future__ import annotations

from typing import Any

from tests.converters.tflite.making import spec, tf, weights


def network(x: Any) -> Any:
    """Convolutions with a branch, and a classifier."""
    y = tf.nn.relu6(tf.nn.conv2d(x, weights(3, 3, 8, 16), 2, "SAME") + 0.1)
    y = y + tf.nn.relu6(tf.nn.depthwise_conv2d(y, weights(3, 3, 16, 1), [1, 1, 1, 1], "SAME"))
    y = tf.reduce_mean(tf.nn.avg_pool2d(y, 2, 2, "VALID"), [1, 2])
    return tf.nn.softmax(y @ weights(16, 10))


def spectrum(x: Any) -> Any:
    pairs = tf.signal.rfft2d(x, [4, 8])
    return tf.math.real(pairs), tf.math.imag(pairs), tf.abs(pairs)


CASES: dict[str, tuple[Any, ...]] = {
    "spectrum": (spectrum, spec(2, 4, 8)),
    "rfft": (lambda x: tf.abs(tf.signal.stft(x, 8, 4)), spec(2, 32)),
    "net": (network, spec(None, 16, 16, 8)),
    "fc": (lambda x: tf.nn.relu(x @ weights(20, 30) + 1.0), spec(None, 20)),
    "binary": (
        lambda a, b: (a + b) * (a - b) / (b * b + 2.0) + tf.maximum(a, b) - tf.minimum(a, b) * 2 + tf.math.squared_difference(a, b),
        spec(None, 5),
        spec(None, 5),
    ),
    "unary": (
        lambda a: (
            tf.sin(a)
            + tf.cos(a)
            + tf.exp(-tf.abs(a))
            + tf.sqrt(tf.abs(a) + 1)
            + tf.math.rsqrt(tf.abs(a) + 1)
            + tf.floor(a)
            + tf.math.ceil(a)
            + tf.round(a)
            + tf.sign(a)
            + tf.square(a)
            + tf.math.log(tf.abs(a) + 1)
        ),
        spec(None, 5),
    ),
    "acts": (
        lambda a: (
            tf.nn.relu(a) + tf.nn.elu(a) + tf.nn.leaky_relu(a, 0.3) + tf.sigmoid(a) + tf.tanh(a) + tf.nn.gelu(a, True) + tf.nn.log_softmax(a) + tf.nn.relu6(a)
        ),
        spec(None, 5),
    ),
    "shapes": (
        lambda a: tf.concat([tf.reshape(tf.transpose(a, [0, 2, 1]), [-1, 6]), tf.tile(tf.squeeze(a[:, :1, :], 1), [1, 3])], 1),
        spec(None, 3, 2),
    ),
    "pads": (
        lambda a: (
            tf.pad(a, [[0, 0], [1, 2], [2, 1]])[:, :5, :5]
            + tf.pad(a, [[0, 0], [1, 1], [1, 1]], "REFLECT")
            + tf.pad(a, [[0, 0], [1, 1], [1, 1]], "SYMMETRIC")
            + tf.pad(a, [[0, 0], [1, 1], [1, 1]], constant_values=3.0)
        ),
        spec(None, 3, 3),
    ),
    "ss": (lambda a: (a[:, ::-1, 1:3], a[:, 1, ...], a[..., tf.newaxis, 2], tf.slice(a, [0, 1, 0], [-1, 2, -1])), spec(None, 4, 5)),
    "splits": (lambda a: tf.split(a, 3, 1) + tf.split(a, [1, -1], 1) + tf.unstack(a, axis=1) + [tf.stack([a, a], 1)], spec(None, 6)),
    "gather": (
        lambda a: (
            tf.gather(a, [0, 2], axis=1),
            tf.gather(a, tf.argmax(a, 1, output_type=tf.int32), axis=1, batch_dims=1),
            tf.gather_nd(a, [[0, 1]]),
        ),
        spec(None, 4, 5),
    ),
    "onehot": (
        lambda a: (
            tf.one_hot(tf.argmax(a, 1), 4),
            tf.argmin(a, 1),
            tf.math.top_k(a, 2),
            tf.cumsum(a, 1, exclusive=True),
            tf.reverse(a, [1]),
            tf.where(a > 0),
            tf.where(a > 0, a, -a),
        ),
        spec(None, 4),
    ),
    "reduce": (
        lambda a: (
            tf.reduce_sum(a, 1),
            tf.reduce_mean(a, [1, 2], True),
            tf.reduce_max(a, -1),
            tf.reduce_min(a, 0),
            tf.reduce_prod(a, 1),
            tf.reduce_any(a > 0, 1),
            tf.reduce_all(a > 0, 1),
        ),
        spec(None, 4, 3),
    ),
    "bmm": (lambda a, b: tf.matmul(a, b, transpose_b=True) + tf.matmul(a, tf.transpose(b, [0, 2, 1])), spec(None, 4, 3), spec(None, 4, 3)),
    "resize": (
        lambda a: (
            tf.image.resize(a, [7, 9]),
            tf.image.resize(a, [7, 3], "nearest"),
            tf.compat.v1.image.resize_bilinear(a, [7, 9], align_corners=True),
            tf.compat.v1.image.resize_bilinear(a, [7, 9]),
            tf.compat.v1.image.resize_nearest_neighbor(a, [7, 9], align_corners=True),
            tf.compat.v1.image.resize_nearest_neighbor(a, [7, 9]),
        ),
        spec(None, 5, 4, 3),
    ),
    "s2d": (
        lambda a: (
            tf.nn.space_to_depth(a, 2),
            tf.nn.depth_to_space(a, 2),
            tf.space_to_batch(a, [2, 2], [[0, 0], [1, 1]]),
            tf.nn.local_response_normalization(a, 2),
            tf.nn.l2_normalize(a, -1),
        ),
        spec(None, 4, 4, 4),
    ),
    "deconv": (
        lambda a: (
            tf.nn.conv2d_transpose(a, weights(3, 3, 5, 4), [2, 8, 8, 5], 2, "SAME"),
            tf.nn.conv2d_transpose(a, weights(3, 3, 5, 4), [2, 9, 9, 5], 2, "VALID"),
        ),
        spec(2, 4, 4, 4),
    ),
    "dil": (
        lambda a: (
            tf.nn.conv2d(a, weights(3, 3, 4, 5), 1, "SAME", dilations=2),
            tf.nn.conv2d(a, weights(3, 3, 4, 5), 1, "VALID", dilations=2),
            tf.nn.max_pool2d(a, 3, 2, "SAME"),
            tf.nn.avg_pool2d(a, 3, 2, "SAME"),
        ),
        spec(None, 9, 8, 4),
    ),
    "conv3d": (lambda a: tf.nn.conv3d(a, weights(2, 2, 2, 3, 4), [1, 1, 1, 1, 1], "SAME"), spec(None, 5, 4, 4, 3)),
    "ints": (
        lambda a, b: (
            a + b,
            a * b,
            a // (b + 1),
            a % (b + 1),
            tf.bitwise.bitwise_xor(a, b),
            tf.bitwise.right_shift(a, b),
            tf.cast(a, tf.float32),
            tf.math.divide_no_nan(tf.cast(a, tf.float32), tf.cast(b, tf.float32)),
        ),
        spec(None, dtype=tf.int32),
        spec(None, dtype=tf.int32),
    ),
    "floats2": (
        lambda a, b: (tf.math.floordiv(a, b), tf.math.floormod(a, b), tf.atan2(a, b), tf.pow(tf.abs(a), b)),
        spec(None, 4),
        spec(None, 4),
    ),
    "logic": (lambda a, b: ((a > b) & (a <= 1), (a == b) | (a != 0), ~(a >= b)), spec(None, 4), spec(None, 4)),
    "scatter": (
        lambda a: (
            tf.scatter_nd([[1], [3], [1]], a, [5, 4]),
            tf.math.unsorted_segment_sum(a, [0, 2, 0], 3),
            tf.math.segment_sum(a, [0, 0, 1]),
            tf.math.unsorted_segment_max(a, [0, 1, 0], 2),
            tf.tensor_scatter_nd_update(a, [[1]], a[:1]),
        ),
        spec(3, 4),
    ),
    "diag": (
        lambda a: (
            tf.linalg.diag(a),
            tf.linalg.set_diag(tf.zeros([3, 4, 4]), a),
            tf.reverse_sequence(a, [2, 1, 3], 1),
            tf.shape(a),
            tf.rank(a),
            tf.broadcast_to(a, [2, 3, 4]),
            tf.fill([2], a[0, 0]),
            tf.range(tf.shape(a)[0]),
        ),
        spec(3, 4),
    ),
    "while": (lambda a: tf.while_loop(lambda i, x: i < tf.shape(a)[0], lambda i, x: (i + 1, tf.tanh(x) * 1.1), [0, a]), spec(None, 4)),
    "cond": (lambda a: tf.cond(tf.reduce_sum(a) > 0, lambda: a * 2, lambda: a - 1), spec(None, 4)),
    "nms": (lambda b, s: tf.image.non_max_suppression_padded(tf.sort(b, axis=1), s, 5, pad_to_max_output_size=True), spec(6, 4), spec(6)),
    "fq": (lambda a: tf.quantization.fake_quant_with_min_max_args(a, -1.3, 2.1), spec(None, 4)),
    "unique": (lambda a: tf.unique(a), spec(None, dtype=tf.int32)),
    "bucket": (lambda a: tf.raw_ops.Bucketize(input=a, boundaries=[-1.0, 0.0, 1.0]), spec(None)),
}

"""Functions over what is no plain tensor: ragged and sparse ones, text, codes, boxes; recurrent layers. Cases as in `cases.py`."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tests.converters.tensorflow.cases import Case, constant

R = tf.raw_ops
F, I, L, S = tf.float32, tf.int32, tf.int64, tf.string  # noqa: E741


def ragged(x: Any, whole: bool = True) -> Any:
    """Rows of x: the first half, none, the rest; two levels of them unless `whole`."""
    count = tf.shape(x)[0]
    rows = tf.RaggedTensor.from_row_splits(x, tf.stack([0, count // 2, count // 2, count]))
    return rows if whole else tf.RaggedTensor.from_row_splits(rows, [0, 1, 3, 3])


def pieces(x: Any) -> list[Any]:
    """What a ragged tensor is made of."""
    return [*x.nested_row_splits, x.flat_values]


def sparse(x: Any) -> Any:
    return tf.sparse.from_dense(tf.where(x > 0, x, tf.zeros_like(x)))


def parts(x: Any) -> list[Any]:
    """What a sparse tensor is made of."""
    return [x.indices, x.values, x.dense_shape]


def boxes(x: Any) -> Any:
    return tf.concat([x[..., :2], x[..., :2] + 0.5 + tf.abs(x[..., 2:])], -1)


def _several(x: Any, y: Any, kinds: int, padded: bool) -> Any:
    given = tf.reshape(boxes(tf.reshape(x, [-1, 4])), [-1, 6, kinds, 4])
    return tf.image.combined_non_max_suppression(given, y, 2, 5, 0.3, -0.8, pad_per_class=padded, clip_boxes=padded)


def _filled(x: Any) -> list[Any]:
    given = sparse(x - 1)
    return list(R.SparseFillEmptyRows(indices=given.indices, values=given.values, dense_shape=given.dense_shape, default_value=2.0))


def _decoded(x: Any, lengths: Any) -> list[Any]:
    made = []
    for options in ({}, {"merge_repeated": False, "blank_index": 0}):
        decoded, score = tf.nn.ctc_greedy_decoder(x, tf.minimum(lengths, tf.shape(x)[0]), **options)
        made += [*parts(decoded[0]), score]
    return made


def _codes(kind: Any, mode: str) -> Any:
    def function(x: Any) -> list[Any]:
        codes, low, high = tf.quantization.quantize(x, -1.3, 2.1, kind, mode)
        return [tf.cast(codes, I), low, high, tf.quantization.dequantize(codes, low, high, mode)]

    return function


def _uniform(x: Any) -> list[Any]:
    options = {"quantization_axis": 1, "quantization_min_val": -128, "quantization_max_val": 127}
    codes = R.UniformQuantize(input=x, scales=[0.1, 0.2, 0.3], zero_points=[1, 0, -2], Tout=tf.qint8, **options)
    real = R.UniformDequantize(input=codes, scales=[0.1, 0.2, 0.3], zero_points=[1, 0, -2], Tout=F, **options)
    wide = tf.cast(tf.cast(codes, I), tf.qint32)
    low, high = tf.cast(-5, tf.qint32), tf.cast(7, tf.qint32)
    kept = R.UniformQuantizedClipByValue(operand=wide, min=low, max=high, scales=0.1, zero_points=0, quantization_min_val=-100, quantization_max_val=100)
    return [tf.cast(codes, I), real, tf.cast(kept, I)]


def _lstm(x: Any, count: Any) -> list[Any]:
    weights = {"w": constant(9, 16), "wci": constant(4, seed=1), "wcf": constant(4, seed=2), "wco": constant(4, seed=3), "b": constant(16, seed=4)}
    states = {"x": x, "cs_prev": x[0, :, :4] * 0.5, "h_prev": x[0, :, 1:5]}
    steps = tf.shape(x)[0]
    short = R.BlockLSTM(seq_len_max=tf.cast(tf.minimum(count, steps), L), **states, **weights, use_peephole=False)
    whole = R.BlockLSTMV2(seq_len_max=tf.cast(steps, L), **states, **weights, use_peephole=True, cell_clip=1.0)
    return [short.cs, short.h, *whole]


def _lists(x: Any) -> list[Any]:
    shape = tf.constant([3])
    whole = R.TensorListFromTensor(tensor=x, element_shape=shape)
    longer = R.TensorListResize(input_handle=whole, size=tf.shape(x)[0] + 2)
    placed = R.TensorListScatterV2(tensor=x[:1], indices=[2], element_shape=shape, num_elements=4)
    both = R.TensorListConcatLists(input_a=whole, input_b=longer, element_dtype=F)
    stacked = [R.TensorListStack(input_handle=item, element_shape=shape, element_dtype=F) for item in (longer, placed, both)]
    return [*stacked, *R.TensorListConcatV2(input_handle=whole, element_shape=shape, leading_dims=tf.constant([], L), element_dtype=F)]


RAGGED: list[Case] = [
    ("RaggedRange", lambda x: [*pieces(tf.ragged.range(x, x * 2 + 1, 2)), tf.ragged.range(tf.cast(x, F), tf.cast(x, F) * 1.5 + 1).flat_values], [([None], I)]),
    ("RaggedGather", lambda x, i: [*pieces(tf.gather(ragged(x), i[:, 0])), *pieces(tf.gather(ragged(x, False), i))], [([None], F), ([None, 2], I)]),
    ("RaggedTensorToTensor", lambda x: [ragged(x).to_tensor(), ragged(x).to_tensor(7.0, shape=[None, 2, 3]), ragged(x, False).to_tensor(),
     tf.RaggedTensor.from_value_rowids(x, tf.range(tf.shape(x)[0]) // 2 * 2, tf.shape(x)[0] + 1).to_tensor()], [([None, 3], F)]),
    ("RaggedTensorToSparse", lambda x: [*parts(ragged(x).to_sparse()), *parts(ragged(x[:, 0], False).to_sparse())], [([None, 3], F)]),
    ("RaggedTensorToVariant", lambda x: [tf.map_fn(tf.reduce_sum, ragged(x), fn_output_signature=F), tf.map_fn(
        lambda row: tf.reduce_sum(row.to_tensor()), ragged(x, False), fn_output_signature=F)], [([None], F)]),
    ("lists", _lists, [([None, 3], F)]),
]  # fmt: skip

SPARSE: list[Case] = [
    ("SparseReshape", lambda x: [*parts(tf.sparse.reshape(sparse(x), [-1, 2, 3])), *parts(tf.sparse.reorder(tf.SparseTensor(
        [[1, 1], [0, 2], [0, 0], [0, 1], [1, 2], [1, 0]], x[0], [2, 3])))], [([None, 6], F)]),
    ("SparseFillEmptyRows", _filled, [([None, 3], F)]),
    ("SparseAdd", lambda x: [tf.sparse.add(sparse(x), x), *parts(tf.sparse.add(sparse(x), sparse(x * x - 1)))], [([None, 3], F)]),
    ("SparseDenseCwise", lambda x: [(sparse(x) * x).values, (sparse(x) / (x * x + 1)).values], [([None, 3], F)]),
    ("SparseReduce", lambda x: [tf.sparse.reduce_sum(sparse(x), 1), tf.sparse.reduce_max(sparse(x), 0, keepdims=True),
     *parts(tf.sparse.softmax(sparse(x)))], [([None, 3], F)]),
    ("SparseConcat", lambda x: [*parts(tf.sparse.concat(1, [sparse(x), sparse(x * x)])), *parts(tf.sparse.slice(sparse(x), [0, 1], [3, 7]))], [([None, 3], F)]),
    ("sets", lambda a, b: [*parts(tf.sets.difference(a, b, aminusb=False)), *parts(tf.sets.intersection(a, b))], [([2, None, 4], L), ([2, None, 4], L)]),
    ("sets of text", lambda a, b: parts(tf.sets.union(a, b)), [([None, 4], S), ([None, 3], S)]),
    ("sparse sets", lambda a, b: [*parts(tf.sets.union(a, sparse(b))), *parts(tf.sets.difference(sparse(a), sparse(b)))], [([None, 4], I), ([None, 4], I)]),
    ("CTCGreedyDecoder", _decoded, [([None, None, 4], F), ([None], I)]),
]  # fmt: skip

WORDS: list[Case] = [
    ("ReduceJoin", lambda x: [tf.strings.reduce_join(x, separator="-"), tf.strings.reduce_join(x, [1], keepdims=True)], [([None, 3], S)]),
    ("StringSplitV2", lambda x: [*pieces(tf.strings.split(x)), *R.StringSplitV2(input=x, sep=","), *R.StringSplitV2(input=x, sep="e", maxsplit=1)], [([None], S)]),
    ("StringSplit", lambda x: [*R.StringSplit(input=x, delimiter=" "), *R.StringSplit(input=x, delimiter="e", skip_empty=False), *R.StringSplit(
        input=x, delimiter=", !")], [([None], S)]),
    ("RegexReplace", lambda x: [tf.strings.regex_replace(x, "[!,.o]", ""), tf.strings.regex_replace(x, r"\s+", "_"), tf.strings.regex_replace(
        x, "[aeo]", "*"), tf.strings.regex_replace(x, "o", "00", replace_global=False)], [([None, 2], S)]),
    ("StringLength", lambda x: [tf.strings.length(x), tf.strings.length(x, "UTF8_CHAR")], [([None, 2], S)]),
    ("Substr", lambda x: [tf.strings.substr(tf.strings.join([x, "abcdef"]), -3, 2), tf.strings.substr(tf.strings.join(["abcde", x]), 1, 3, "UTF8_CHAR"),
     tf.strings.strip(tf.strings.join(["  ", x, " \n"])), tf.strings.unicode_transcode(x, "UTF-8", "UTF-8")], [([None, 2], S)]),
    ("StringNGrams", lambda x: pieces(tf.strings.ngrams(tf.strings.split(x), [2, 1])), [([None], S)]),
]  # fmt: skip

CODES: list[Case] = [
    *[(f"QuantizeV2 {kind.name} {mode}", _codes(kind, mode), [([None, 3], F)]) for kind, mode in (
        (tf.quint8, "MIN_COMBINED"), (tf.qint8, "MIN_COMBINED"), (tf.qint8, "MIN_FIRST"), (tf.quint8, "SCALED"), (tf.qint8, "SCALED"))],
    ("QuantizeAndDequantize", lambda x: [
        tf.quantization.quantize_and_dequantize_v2(x, -1.3, 2.1, range_given=True, narrow_range=True, round_mode="HALF_UP"),
        tf.quantization.quantize_and_dequantize_v2(x, 0.0, 0.0), tf.quantization.quantize_and_dequantize_v2(
            x, 0.0, 1.0, signed_input=False, num_bits=4, range_given=True), R.QuantizeAndDequantizeV3(
            input=x, input_min=-1.0, input_max=2.0, num_bits=5)], [([None, 3], F)]),
    ("UniformQuantize", _uniform, [([None, 3], F)]),
]  # fmt: skip


def _seen(x: Any, mode: str) -> list[Any]:
    """Pictures turned, moved and bent so that some of their places lie outside."""
    bent = tf.tanh(tf.reduce_mean(x, [1, 3]))[:, :4] * 0.2
    numbers = tf.concat([1.1 + bent[:, :1], bent[:, 1:3], bent[:, :2], 0.9 + bent[:, 2:3], bent[:, 2:] * 0.1], 1) + [0.0, 0.0, -3.3, 0.0, 0.0, 4.7, 0.0, 0.0]
    how = {"transforms": numbers, "output_shape": [7, 5], "fill_value": 0.5, "fill_mode": mode}
    return [R.ImageProjectiveTransformV3(images=x, interpolation=kind, **how) for kind in ("BILINEAR", "NEAREST")]


SCENES: list[Case] = [
    *[(f"ImageProjectiveTransform {mode}", lambda x, mode=mode: _seen(x, mode), [([None, 6, 4, 2], F)]) for mode in ("CONSTANT", "REFLECT", "WRAP", "NEAREST")],
    ("AdjustHue", lambda x: [tf.image.adjust_hue(tf.sigmoid(x), 0.3), tf.image.adjust_saturation(tf.sigmoid(x), 1.7)], [([None, 3, 4, 3], F)]),
    ("ResizeArea", lambda x: [R.ResizeArea(images=x, size=[3, 5]), R.ResizeArea(images=x, size=[9, 4], align_corners=True)], [([None, 6, 7, 2], F)]),
    *[(f"ScaleAndTranslate {kernel}", lambda x, kernel=kernel: R.ScaleAndTranslate(
        images=x, size=[5, 8], scale=[0.7, 1.4], translation=[0.5, -1.0], kernel_type=kernel), [([None, 6, 7, 2], F)])
      for kernel in ("triangle", "keyscubic", "mitchellcubic", "lanczos3", "gaussian")],
    ("resize with antialiasing", lambda x: tf.image.resize(x, [4, 9], "bilinear", antialias=True), [([None, None, None, 2], F)]),
    ("soft suppression", lambda x: tf.image.non_max_suppression_with_scores(boxes(x), x[:, 0], 4, 0.5, soft_nms_sigma=0.5), [([7, 4], F)]),
    ("padded suppression", lambda x: [*R.NonMaxSuppressionV4(
        boxes=boxes(x), scores=x[:, 0], max_output_size=5, iou_threshold=0.3, score_threshold=-0.5, pad_to_max_output_size=True),
        R.NonMaxSuppressionWithOverlaps(overlaps=tf.matmul(x, x, transpose_b=True), scores=x[:, 0], max_output_size=5, overlap_threshold=0.5,
        score_threshold=-0.5)], [([7, 4], F)]),
    *[(f"CombinedNonMaxSuppression of {kinds}", lambda x, y, kinds=kinds: _several(x, y, kinds, kinds == 1), [([None, 6, kinds, 4], F), ([None, 6, 3], F)])
      for kinds in (1, 3)],
    ("CombinedNonMaxSuppression of probabilities", lambda x, y: _several(x, tf.sigmoid(y), 3, False), [([None, 6, 3, 4], F), ([None, 6, 3], F)]),
]  # fmt: skip

RECURRENT: list[Case] = [
    ("LSTMBlockCell", lambda x: R.LSTMBlockCell(
        x=x[:, :3], cs_prev=x[:, 3:7], h_prev=x[:, 7:11], w=constant(7, 16), wci=constant(4, seed=1), wcf=constant(4, seed=2), wco=constant(4, seed=3),
        b=constant(16, seed=4), use_peephole=True, cell_clip=0.7), [([None, 11], F)]),
    ("BlockLSTM", _lstm, [([None, None, 5], F), ([], I)]),
    ("GRUBlockCell", lambda x: R.GRUBlockCell(
        x=x[:, :3], h_prev=x[:, 3:7], w_ru=constant(7, 8), w_c=constant(7, 4, seed=1), b_ru=constant(8, seed=2), b_c=constant(4, seed=3)), [([None, 7], F)]),
]  # fmt: skip

FAMILIES = {"ragged": RAGGED, "sparse": SPARSE, "words": WORDS, "codes": CODES, "scenes": SCENES, "recurrent": RECURRENT}

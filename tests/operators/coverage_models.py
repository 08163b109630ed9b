"""Models of the operators for which the ONNX backend suite has none of the kind that the coverage needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

X = np.array([[0.5, -1.5, 2.0], [1.0, 3.0, -0.5]], np.float32)
ROW = X[0]

CONTROL: dict[str, tuple[str, list[Any], Callable[..., list[Any]]]] = {
    "If": (
        """g (bool c, float[3] T_x, float[3] T_y) => (float[3] T_z) {
             T_z = If (c) <then_branch = a () => (float[3] T_u) { T_u = Identity(T_x) },
                           else_branch = b () => (float[3] T_v) { T_v = Identity(T_y) }> }""",
        [np.array(True), ROW, X[1]],
        lambda c, x, y: [x],
    ),
    "Loop": (
        """g (int64 n, bool c, float[3] T_x) => (float[3] T_y, float[4, 3] T_all) {
             T_y, T_all = Loop (n, c, T_x) <body = b (int64 i, bool d, float[3] T_s) =>
                 (bool e, float[3] T_t, float[3] T_o) { e = Identity(d) T_t = Identity(T_s) T_o = Identity(T_s) }> }""",
        [np.array(4), np.array(True), ROW],
        lambda n, c, x: [x, np.stack([x] * 4)],
    ),
    "Scan": (
        """g (float[3] T_x, float[2, 3] T_m) => (float[3] T_y, float[2, 3] T_all) {
             T_y, T_all = Scan <num_scan_inputs = 1, body = b (float[3] T_s, float[3] T_e) =>
                 (float[3] T_t, float[3] T_o) { T_t = Identity(T_e) T_o = Identity(T_s) }> (T_x, T_m) }""",
        [ROW, X],
        lambda x, m: [m[-1], np.stack([x, m[0]])],
    ),
    "SequenceMap": (
        """g (seq(float[3]) T_x) => (seq(float[3]) T_y) {
             T_y = SequenceMap (T_x) <body = b (float[3] T_s) => (float[3] T_t) { T_t = Identity(T_s) }> }""",
        [[ROW, X[1]]],
        lambda x: [x],
    ),
    "Scan-8": (
        """g (int64[1] n, float[1, 3] T_x, float[1, 2, 3] T_m) => (float[1, 3] T_y, float[1, 2, 3] T_all) {
             T_y, T_all = Scan <num_scan_inputs = 1, body = b (float[3] T_s, float[3] T_e) =>
                 (float[3] T_t, float[3] T_o) { T_t = Identity(T_e) T_o = Identity(T_s) }> (n, T_x, T_m) }""",
        [np.array([2]), X[:1], X[None]],
        lambda n, x, m: [m[:, -1], np.stack([x, m[:, 0]], 1)],
    ),
}
"""Operator -> text, inputs, and what is expected of them; what is named T_... is of the variable type V."""


def structures(name: str) -> list[tuple[Any, ...]]:
    """The model of a control flow operator, and where it takes them also with sequences and optional values."""
    text, inputs, expected = CONTROL[name]
    if name == "SequenceMap":
        return [(text, inputs, expected), (MAP_WITH_TENSOR, [SEQUENCE, ROW], lambda s, x: [[x, x]])]
    found: list[tuple[Any, ...]] = [(text, inputs, expected)]
    if name not in ("If", "Loop"):
        return found
    if name == "Loop":
        text, expected = LOOP_WITHOUT_ROWS, lambda n, c, x: [x]
    for structure in ("seq({})", "optional({})", "optional(seq({}))"):
        held = [ROW, X[1]]
        given = [item if np.asarray(item).ndim == 0 else held if "seq" in structure else item for item in inputs]
        found.append((text.replace("float[3]", structure.format("float[3]")), given, expected))
    return found


MAP_WITH_TENSOR = """g (seq(float[3]) s, float[3] T_x) => (seq(float[3]) T_y) {
    T_y = SequenceMap (s, T_x) <body = b (float[3] e, float[3] T_s) => (float[3] T_t) { T_t = Identity(T_s) }> }"""

LOOP_WITHOUT_ROWS = """g (int64 n, bool c, float[3] T_x) => (float[3] T_y) {
    T_y = Loop (n, c, T_x) <body = b (int64 i, bool d, float[3] T_s) => (bool e, float[3] T_t) {
        e = Identity(d) T_t = Identity(T_s) }> }"""


def _default(text: str, version: int = 22) -> str:
    return f'<ir_version: 10, opset_import: ["" : {version}]> g {text}'


def _classical(text: str) -> str:
    return f'<ir_version: 10, opset_import: ["" : 18, "ai.onnx.ml" : 5]> g {text}'


IMAGE = np.arange(32, dtype=np.float32).reshape(1, 2, 4, 4) / 7
SEQUENCE = [ROW, X[1]]
STEPS = np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4)
LENGTHS = np.array([2, 1, 2], np.int32)
WEIGHTS = {rows: [np.sin(np.arange(rows * columns, dtype=np.float32)).reshape(1, rows, columns) / 2 for columns in (4, 5)] for rows in (5, 15)}
QUANTIZED = [
    np.arange(9, dtype=np.uint8).reshape(1, 1, 3, 3), np.array(0.5, np.float32), np.array(2, np.uint8),
    np.arange(4, dtype=np.uint8).reshape(1, 1, 2, 2), np.array(0.25, np.float32), np.array(1, np.uint8),
    np.array(0.5, np.float32), np.array(3, np.uint8), np.array([7], np.int32),
]  # fmt: skip
TREE = """
  nodes_featureids = [0, 0, 0], nodes_treeids = [0, 0, 0], nodes_nodeids = [0, 1, 2], nodes_falsenodeids = [2, 0, 0],
  nodes_truenodeids = [1, 0, 0], nodes_modes = ["BRANCH_LEQ", "LEAF", "LEAF"], nodes_values = [0.7, 0.0, 0.0]
"""
"""One tree that asks for the first feature."""

MORE: list[tuple[Any, ...]] = [
    (_default('(float[2, 3] x) => (int32[2, 3] y) { y = Cast<to = "INT32">(x) }', 1), [X], lambda x: [np.asarray(x).astype(float)]),
    (
        _default("(float[1, 2, 4, 4] x) => (float[1, 2, 1, 1] y) { y = GlobalLpPool<p = 3>(x) }"),
        [IMAGE],
        lambda x: [(np.abs(x.astype(float)) ** 3).sum((2, 3), keepdims=True) ** (1 / 3)],
    ),
    (
        _default("(float[1, 2, 4, 4] x, float[1, 5] r) => (float[1, 2, 2, 2] y) { y = MaxRoiPool<pooled_shape = [2, 2]>(x, r) }"),
        [IMAGE, np.array([[0, 0, 0, 3, 3]], np.float32)],
        lambda x, r: [x[:, :, 1::2, 1::2]],
    ),
    (_default("(float[2, 3] x) => (int32[2, 8] y) { y = Multinomial<sample_size = 8, seed = 3.0>(x) }"), [X]),
    (_default("() => (float[2, 3] y) { y = RandomNormal<shape = [2, 3]>() }"), []),
    (_default("() => (float[2, 3] y) { y = RandomUniform<shape = [2, 3]>() }"), []),
    (_default("(float[2, 3] x) => (float[2, 3] y) { y = RandomNormalLike<dtype = 1>(x) }"), [X]),
    (_default("(float[2, 3] x) => (float[2, 3] y) { y = RandomUniformLike<dtype = 1>(x) }"), [X]),
    (_default("() => (seq(float[K]) y) { y = SequenceEmpty<dtype = 1>() }"), []),
    (_default("(seq(float[3]) s) => (int64 y) { y = SequenceLength(s) }"), [SEQUENCE]),
    (_default("(seq(float[3]) x) => (seq(float[3]) y) { y = Identity(x) }", 28), [SEQUENCE], lambda x: [x]),
    (
        _default("(optional(seq(float[3])) x) => (optional(seq(float[3])) y) { y = Identity(x) }", 28),
        [SEQUENCE],
        lambda x: [x],
    ),
    (_default("(optional(float[3]) x) => (optional(float[3]) y) { y = Identity(x) }", 28), [ROW], lambda x: [x]),
    (
        _default("(optional(float[3]) x) => (bool y) { y = OptionalHasElement(x) }", 18),
        [ROW],
        lambda x: [np.array(True)],
    ),
    (
        _default("(optional(seq(float[3])) x) => (bool y) { y = OptionalHasElement(x) }", 18),
        [SEQUENCE],
        lambda x: [np.array(True)],
    ),
    (
        _default("(optional(seq(float[3])) x) => (bool y) { y = OptionalHasElement(x) }", 28),
        [SEQUENCE],
        lambda x: [np.array(True)],
    ),
    (
        _default("(optional(float[3]) x) => (bool y) { y = OptionalHasElement(x) }", 28),
        [ROW],
        lambda x: [np.array(True)],
    ),
    (
        _default("(float[1, 2, 4, 1] x, int64 n, int64 a) => (float[1, 2, 4, 2] y) { y = DFT(x, n, a) }", 20),
        [IMAGE[..., :1], np.array(4), np.array(2)],
    ),
    (
        _default("(float[1, 2, 4, 1] x, int64 n) => (float[1, 2, 4, 2] y) { y = DFT<axis = 2>(x, n) }", 17),
        [IMAGE[..., :1], np.array(4)],
    ),
    (
        _default("(float[2, 3, 4] x, float[1, 5, 4] w, float[1, 5, 5] r, int32[3] n) => (float[2, 1, 3, 5] y) { y = RNN<hidden_size = 5>(x, w, r, , n) }"),
        [STEPS, *WEIGHTS[5], LENGTHS],
    ),
    (
        _default("(float[2, 3, 4] x, float[1, 15, 4] w, float[1, 15, 5] r, int32[3] n) => (float[2, 1, 3, 5] y) { y = GRU<hidden_size = 5>(x, w, r, , n) }"),
        [STEPS, *WEIGHTS[15], LENGTHS],
    ),
    (_default("(float[2, 3] x, float[3] s) => (float[2, 3] y) { y = PRelu(x, s) }", 6), [X, ROW]),
    (
        _default("(float[2, 3] x) => (float[3, 2] y) { y = Reshape<shape = [3, 2]>(x) }", 1),
        [X],
        lambda x: [x.reshape(3, 2)],
    ),
    (
        _default("(float[2, 3] x, float[1] n, float[1] a) => (float[2, 6] y) { y = Tile(x, n, a) }", 1),
        [X, np.array([2], np.float32), np.array([1], np.float32)],
        lambda x, n, a: [np.tile(x, (1, 2))],
    ),
    (
        _default("(float[2, 3] x) => (float[3, 3] y) { y = Pad<paddings = [0, 0, 1, 0]>(x) }", 1),
        [X],
        lambda x: [np.pad(x, ((0, 1), (0, 0)))],
    ),
    (
        _default("(float[2, 3] x) => (float[3, 3] y) { y = Pad<pads = [0, 0, 1, 0]>(x) }", 2),
        [X],
        lambda x: [np.pad(x, ((0, 1), (0, 0)))],
    ),
    (
        _default("(float[2, 3] x) => (float[2, 3] y) { y = Clip<min = -1.0, max = 1.0>(x) }", 1),
        [X],
        lambda x: [np.clip(x, -1, 1).astype(x.dtype)],
    ),
    (
        _default(
            "(float[1, 2, 4, 4] x) => (float[1, 2, 8, 8] y) { y = Upsample<height_scale = 2.0, width_scale = 2.0>(x) }",
            1,
        ),
        [IMAGE],
        lambda x: [x.repeat(2, 2).repeat(2, 3)],
    ),
    (
        _default("(float[1, 2, 4, 4] x) => (float[1, 2, 8, 8] y) { y = Upsample<scales = [1.0, 1.0, 2.0, 2.0]>(x) }", 7),
        [IMAGE],
        lambda x: [x.repeat(2, 2).repeat(2, 3)],
    ),
    (
        _default("(float[1, 2, 4, 4] x, float[4] s) => (float[1, 2, 8, 8] y) { y = Resize(x, s) }", 10),
        [IMAGE, np.array([1, 1, 2, 2], np.float32)],
        lambda x, s: [x.repeat(2, 2).repeat(2, 3)],
    ),
    (
        _default(
            '(float[1, 2, 4, 4] x, float[1, 2, 2, 2] g) => (float[1, 2, 2, 2] y) { y = GridSample<mode = "nearest">(x, g) }',
            16,
        ),
        [IMAGE, IMAGE[:, :, :2, :2] / 5],
    ),
    (
        _default(
            '(float[1, 2, 4, 4] x, float[1, 2, 2, 2] g) => (float[1, 2, 2, 2] y) { y = GridSample<mode = "nearest">(x, g) }',
            22,
        ),
        [IMAGE, IMAGE[:, :, :2, :2] / 5],
    ),
    (
        _default("(seq(float[3]) x) => (bool y) { y = OptionalHasElement(x) }", 18),
        [SEQUENCE],
        lambda x: [np.array(True)],
    ),
    (_default("(float[3] x) => (bool y) { y = OptionalHasElement(x) }", 28), [ROW], lambda x: [np.array(True)]),
    (
        _default("(seq(float[3]) x) => (bool y) { y = OptionalHasElement(x) }", 28),
        [SEQUENCE],
        lambda x: [np.array(True)],
    ),
    (
        _default(
            "(uint8[1, 1, 3, 3] x, float xs, uint8 xz, uint8[1, 1, 2, 2] w, float ws, uint8 wz, float ys, uint8 yz, int32[1] b) => (uint8[1, 1, 2, 2] y) { y = QLinearConv(x, xs, xz, w, ws, wz, ys, yz, b) }"
        ),
        QUANTIZED,
    ),
    (_default("(float[3] x) => (optional(float[3]) y) { y = Optional(x) }", 28), [ROW]),
    (_default("(seq(float[3]) x) => (optional(seq(float[3])) y) { y = Optional(x) }", 28), [SEQUENCE]),
    (_default("(seq(float[3]) s, int64 i) => (float[3] y) { y = SequenceAt(s, i) }"), [SEQUENCE, np.array(1)]),
    (_default("(seq(float[3]) s, int64 i) => (seq(float[3]) y) { y = SequenceErase(s, i) }"), [SEQUENCE, np.array(0)]),
    (_default("(float[3] a, float[3] b) => (seq(float[3]) y) { y = SequenceConstruct(a, b) }"), SEQUENCE),
    (_default("(seq(float[3]) s) => (float[6] y) { y = ConcatFromSequence<axis = 0>(s) }"), [SEQUENCE]),
    (
        _classical('(map(int64, float[]) x) => (float[1, 3] y) { y = ai.onnx.ml.CastMap<map_form = "DENSE">(x) }'),
        [{0: 1.5, 2: 3.0}],
        lambda x: [np.array([[1.5, 3.0]], np.float32)],
    ),
    (
        _classical('(map(int64, float[]) x) => (string[1, 2] y) { y = ai.onnx.ml.CastMap<cast_to = "TO_STRING">(x) }'),
        [{0: 1.5, 2: 3.0}],
        lambda x: [np.array([["1.5", "3.0"]], object)],
    ),
    (
        _classical('(map(int64, float[]) x) => (int64[1, 2] y) { y = ai.onnx.ml.CastMap<cast_to = "TO_INT64">(x) }'),
        [{0: 1.5, 2: 3.0}],
        lambda x: [np.array([[1, 3]])],
    ),
    (
        _classical("(map(int64, string[]) x) => (float[1, 2] y) { y = ai.onnx.ml.CastMap(x) }"),
        [{1: "2.5", 4: "-1"}],
        lambda x: [np.array([[2.5, -1]], np.float32)],
    ),
    (
        _classical('(string[3] x) => (int64[3] y) { y = ai.onnx.ml.CategoryMapper<cats_int64s = [4, 5], cats_strings = ["0", "b"]>(x) }'),
        [np.array(["b", "0", "c"], object)],
    ),
    (
        _classical('(int64[3] x) => (string[3] y) { y = ai.onnx.ml.CategoryMapper<cats_int64s = [4, 5], cats_strings = ["a", "b"]>(x) }'),
        [np.array([5, 4, 1])],
    ),
    (
        _classical("(float[2, 3] x, float[2, 3] z) => (float[2, 6] y) { y = ai.onnx.ml.FeatureVectorizer<inputdimensions = [3, 3]>(x, z) }"),
        [X, X],
    ),
    (
        _classical("(float[2, 3] x) => (float[2, 3] y) { y = ai.onnx.ml.Imputer<imputed_value_floats = [7.0], replaced_value_float = 3.0>(x) }"),
        [X],
    ),
    (
        _classical("(int64[2, 3] x) => (int64[2, 3] y) { y = ai.onnx.ml.Imputer<imputed_value_int64s = [7], replaced_value_int64 = 3>(x) }"),
        [np.array([[1, 3, 5], [3, 3, 9]])],
    ),
    (
        _classical(
            "(float[2, 3] x) => (int64[2] y, float[2, 2] z) { y, z = ai.onnx.ml.LinearClassifier<coefficients = "
            "[1.0, 2.0, 3.0, -1.0, 0.5, 1.5], intercepts = [0.1, 0.2], classlabels_ints = [4, 6]>(x) }"
        ),
        [X],
    ),
    (
        _classical(
            "(float[2, 3] x) => (string[2] y, float[2, 2] z) { y, z = ai.onnx.ml.LinearClassifier<coefficients = "
            '[1.0, 2.0, 3.0, -1.0, 0.5, 1.5], intercepts = [0.1, 0.2], classlabels_strings = ["a", "b"]>(x) }'
        ),
        [X],
    ),
    (
        _classical("(float[2, 3] x) => (float[2, 1] y) { y = ai.onnx.ml.LinearRegressor<coefficients = [1.0, 2.0, 3.0], intercepts = [0.5]>(x) }"),
        [X],
    ),
    (_classical('(float[2, 3] x) => (float[2, 3] y) { y = ai.onnx.ml.Normalizer<norm = "L2">(x) }'), [X]),
    (
        _classical("(int64[3] x) => (float[3, 2] y) { y = ai.onnx.ml.OneHotEncoder<cats_int64s = [1, 2]>(x) }"),
        [np.array([1, 2, 5])],
    ),
    (
        _classical('(string[3] x) => (float[3, 2] y) { y = ai.onnx.ml.OneHotEncoder<cats_strings = ["a", "b"]>(x) }'),
        [np.array(["b", "a", "c"], object)],
    ),
    (
        _classical(
            "(float[2, 3] x) => (int64[2] y, float[2, 2] z) { y, z = ai.onnx.ml.SVMClassifier<coefficients = [1.0, -1.0], "
            'kernel_type = "RBF", kernel_params = [0.5, 0.0, 0.0], support_vectors = [1.0, 2.0, 3.0, 0.5, 0.1, 0.2], '
            "vectors_per_class = [1, 1], rho = [0.1], classlabels_ints = [4, 6]>(x) }"
        ),
        [X],
    ),
    (
        _classical(
            "(float[2, 3] x) => (string[2] y, float[2, 2] z) { y, z = ai.onnx.ml.SVMClassifier<coefficients = [1.0, -1.0], "
            'kernel_type = "RBF", kernel_params = [0.5, 0.0, 0.0], support_vectors = [1.0, 2.0, 3.0, 0.5, 0.1, 0.2], '
            'vectors_per_class = [1, 1], rho = [0.1], classlabels_strings = ["a", "b"]>(x) }'
        ),
        [X],
    ),
    (
        _classical(
            "(float[2, 3] x) => (float[2, 1] y) { y = ai.onnx.ml.SVMRegressor<coefficients = [1.0, -1.0], kernel_type = "
            '"POLY", kernel_params = [0.5, 0.1, 2.0], support_vectors = [1.0, 2.0, 3.0, 0.5, 0.1, 0.2], n_supports = 2, rho = [0.1]>(x) }'
        ),
        [X],
    ),
    (_classical("(float[2, 3] x) => (float[2, 3] y) { y = ai.onnx.ml.Scaler<offset = [0.5], scale = [2.0]>(x) }"), [X]),
    (
        _classical(
            f"(float[2, 3] x) => (int64[2] y, float[2, 2] z) {{ y, z = ai.onnx.ml.TreeEnsembleClassifier<{TREE}, "
            "class_treeids = [0, 0], class_nodeids = [1, 2], class_ids = [0, 1], class_weights = [1.0, 2.0], "
            "classlabels_int64s = [4, 6]>(x) }"
        ),
        [X],
    ),
    (
        _classical(
            f"(float[2, 3] x) => (string[2] y, float[2, 2] z) {{ y, z = ai.onnx.ml.TreeEnsembleClassifier<{TREE}, "
            "class_treeids = [0, 0], class_nodeids = [1, 2], class_ids = [0, 1], class_weights = [1.0, 2.0], "
            'classlabels_strings = ["a", "b"]>(x) }'
        ),
        [X],
    ),
    (
        _classical(
            f"(float[2, 3] x) => (float[2, 1] y) {{ y = ai.onnx.ml.TreeEnsembleRegressor<{TREE}, target_treeids = [0, 0], "
            "target_nodeids = [1, 2], target_ids = [0, 0], target_weights = [1.0, 2.0], n_targets = 1>(x) }"
        ),
        [X],
    ),
    (
        _classical("(float[2, 2] x) => (seq(map(int64, float[])) y) { y = ai.onnx.ml.ZipMap<classlabels_int64s = [4, 6]>(x) }"),
        [X[:, :2]],
    ),
    (
        _classical('(float[2, 2] x) => (seq(map(string, float[])) y) { y = ai.onnx.ml.ZipMap<classlabels_strings = ["a", "b"]>(x) }'),
        [X[:, :2]],
    ),
]

for _kind in ("float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz"):
    _text = f"(uint8[2, 2] a, float s, uint8 z, uint8[2, 2] b, float t, uint8 w, float u, {_kind} v) => ({_kind}[2, 2] y) {{ y = QLinearMatMul(a, s, z, b, t, w, u, v) }}"
    _inputs = [
        np.array([[1, 2], [3, 9]], np.uint8),
        np.float32(0.5),
        np.uint8(1),
        np.array([[4, 0], [2, 7]], np.uint8),
        np.float32(0.25),
        np.uint8(2),
        np.float32(0.5),
    ]
    MORE.append(
        (
            _default(_text),
            [*map(np.asarray, _inputs), np.zeros((), getattr(ml_dtypes, _kind.replace("float8e", "float8_e")))],
            lambda a, s, z, b, t, w, u, v: [((a.astype(float) - z) @ (b.astype(float) - w) * (s * t / u)).astype(v.dtype)],
        )
    )
KEYS = {"string": ('string_vocabulary = ["a", "b"]', "a"), "int64": ("int64_vocabulary = [1, 2]", 1)}
VALUES = {"int64": 3, "float": 2.5, "double": -1.5, "string": "x"}
for _key, (_vocabulary, _entry) in KEYS.items():
    for _value, _element in VALUES.items():
        if _key != _value:
            _text = f"(map({_key}, {_value}[]) x) => ({_value}[1, 2] y) {{ y = ai.onnx.ml.DictVectorizer<{_vocabulary}>(x) }}"
            _result = np.array(
                [[_element, type(_element)()]],
                {"int64": np.int64, "float": np.float32, "double": float, "string": object}[_value],
            )
            MORE.append((_classical(_text), [{_entry: _element}], lambda x, result=_result: [result]))

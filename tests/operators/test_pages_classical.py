"""The pages of the ai.onnx.ml domain against onnxruntime, on random models."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from onward import program as P
from onward.ir import as_model
from onward.operators import lower

RANDOM = np.random.default_rng(5)
FEATURES = 4
X = RANDOM.standard_normal((7, FEATURES)).astype(np.float32)


@pytest.fixture(autouse=True)
def _the_same_numbers_in_any_order_of_tests() -> None:
    RANDOM.bit_generator.state = np.random.default_rng(7).bit_generator.state


def floats(*shape: int) -> list[float]:
    return np.asarray(RANDOM.standard_normal(shape), np.float32).reshape(-1).tolist()


def model(name: str, inputs: list[np.ndarray], outputs: int, attributes: dict[str, Any], version: int) -> onnx.ModelProto:
    labels = [f"x{number}" for number in range(len(inputs))]
    kinds = [onnx.TensorProto.STRING if x.dtype == object else helper.np_dtype_to_tensor_dtype(x.dtype) for x in inputs]
    values = [helper.make_tensor_value_info(*row) for row in zip(labels, kinds, (x.shape for x in inputs))]
    results = [f"y{number}" for number in range(outputs)]
    node = helper.make_node(name, labels, results, domain="ai.onnx.ml", name=name, **attributes)
    graph = helper.make_graph([node], "g", values, [helper.make_empty_tensor_value_info(label) for label in results])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", version)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def check(name: str, inputs: list[np.ndarray], outputs: int = 1, version: int = 3, tolerance: float = 1e-5, **attributes: Any) -> None:
    proto = model(name, inputs, outputs, attributes, version)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {f"x{number}": x for number, x in enumerate(inputs)})
    program = lower(as_model(proto))
    feeds = {item: inputs[int(item.label[1:])] for item in program.inputs}
    actual = P.evaluate(list(program.outputs.values()), feeds)
    for mine, theirs in zip(actual, expected):
        if theirs.dtype == object:
            assert mine.tolist() == theirs.tolist()
        else:
            assert mine.dtype == theirs.dtype
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=tolerance)


def forest(trees: int, depth: int, targets: int, kind: str, modes: list[str], missing: bool = False) -> dict[str, Any]:
    """Random full trees with one weight for each target at each leaf."""
    nodes: dict[str, list[Any]] = {key: [] for key in ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")}
    leaves: dict[str, list[Any]] = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}
    for tree in range(trees):
        inner = 2**depth - 1
        for node in range(2 ** (depth + 1) - 1):
            leaf = node >= inner
            row = (tree, node, RANDOM.integers(FEATURES), "LEAF" if leaf else RANDOM.choice(modes), RANDOM.standard_normal())
            for key, item in zip(nodes, (*row, 0 if leaf else 2 * node + 1, 0 if leaf else 2 * node + 2)):
                nodes[key].append(item.item() if isinstance(item, np.generic) else item)
            for target in range(targets) if leaf else ():
                weight = RANDOM.uniform(0, 1 / trees) if kind == "positive" else RANDOM.standard_normal()
                for key, item in zip(leaves, (tree, node, target, float(weight))):
                    leaves[key].append(item)
    prefix = "target" if kind == "target" else "class"
    result = {f"nodes_{key}": value for key, value in nodes.items()}
    result |= {f"{prefix}_{key}": value for key, value in leaves.items()}
    if missing:
        result["nodes_missing_value_tracks_true"] = RANDOM.integers(0, 2, len(nodes["treeids"])).tolist()
    return result


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("targets", [1, 3])
def test_tree_regressor(aggregate: str, targets: int) -> None:
    trees = forest(5, 3, targets, "target", ["BRANCH_LEQ"])
    check("TreeEnsembleRegressor", [X], n_targets=targets, aggregate_function=aggregate, base_values=floats(targets), **trees)


def test_tree_regressor_with_many_modes_and_missing_values() -> None:
    x = X.copy()
    x[::2, 1] = np.nan
    trees = forest(4, 4, 1, "target", ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE"], missing=True)
    check("TreeEnsembleRegressor", [x], n_targets=1, **trees)


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"])
def test_tree_classifier(transform: str) -> None:
    trees = forest(5, 3, 3, "class", ["BRANCH_LEQ"])
    check("TreeEnsembleClassifier", [X], 2, classlabels_int64s=[3, 5, 9], post_transform=transform, **trees)


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC"])
@pytest.mark.parametrize("kind", ["class", "positive"])
def test_tree_classifier_of_two_classes_with_one_column(kind: str, transform: str) -> None:
    trees = forest(5, 3, 1, kind, ["BRANCH_LEQ"])
    check("TreeEnsembleClassifier", [X], 2, classlabels_strings=["no", "yes"], post_transform=transform, **trees)


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX"])
@pytest.mark.parametrize("classes", [2, 3])
def test_linear_classifier(classes: int, transform: str) -> None:
    check(
        "LinearClassifier", [X], 2, coefficients=floats(classes, FEATURES), intercepts=floats(classes),
        classlabels_ints=list(range(classes)), post_transform=transform,
    )  # fmt: skip


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC"])
def test_linear_classifier_of_two_classes_with_one_score(transform: str) -> None:
    check(
        "LinearClassifier", [X], 2, coefficients=floats(1, FEATURES), intercepts=floats(1), classlabels_ints=[4, 6],
        post_transform=transform,
    )  # fmt: skip


@pytest.mark.parametrize("targets", [1, 3])
def test_linear_regressor(targets: int) -> None:
    check("LinearRegressor", [X], coefficients=floats(targets, FEATURES), intercepts=floats(targets), targets=targets)


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
@pytest.mark.parametrize("one_class", [0, 1])
def test_support_vector_regressor(kernel: str, one_class: int) -> None:
    check(
        "SVMRegressor", [X], kernel_type=kernel, kernel_params=[0.3, 0.5, 2.0], coefficients=floats(5), n_supports=5,
        support_vectors=floats(5, FEATURES), rho=floats(1), one_class=one_class,
    )  # fmt: skip


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_support_vector_classifier(classes: int) -> None:
    sizes = [2, 3, 2, 4][:classes]
    check(
        "SVMClassifier", [X], 2, kernel_type="RBF", kernel_params=[0.3, 0.0, 3.0], vectors_per_class=sizes,
        coefficients=floats(classes - 1, sum(sizes)), support_vectors=floats(sum(sizes), FEATURES),
        rho=floats(classes * (classes - 1) // 2), classlabels_ints=list(range(classes)),
    )  # fmt: skip


def test_support_vector_classifier_with_probabilities() -> None:
    check(
        "SVMClassifier", [X], 2, kernel_type="LINEAR", kernel_params=[0.0, 0.0, 3.0], vectors_per_class=[2, 3],
        coefficients=floats(5), support_vectors=floats(5, FEATURES), rho=floats(1), classlabels_ints=[7, 8],
        prob_a=[-1.3], prob_b=[0.2],
    )  # fmt: skip


def test_features() -> None:
    words = np.array(["b", "a", "z", "b"], object)
    numbers = np.array([[3, 1], [5, 3]], np.int64)
    check("Scaler", [X], offset=floats(FEATURES), scale=floats(FEATURES))
    check("Scaler", [numbers], offset=[1.0], scale=[2.0])
    for norm in ("MAX", "L1", "L2"):
        check("Normalizer", [X], norm=norm)
    check("Imputer", [np.where(X > 0, X, np.nan).astype(np.float32)], imputed_value_floats=floats(FEATURES), replaced_value_float=float("nan"))
    check("Imputer", [numbers], imputed_value_int64s=[7], replaced_value_int64=3)
    check("OneHotEncoder", [numbers], cats_int64s=[1, 3, 5])
    check("OneHotEncoder", [words], cats_strings=["a", "b", "c"])
    check("Binarizer", [X], threshold=0.2)
    check("FeatureVectorizer", [X, X[:, :2]], inputdimensions=[4, 2])
    check("ArrayFeatureExtractor", [X, np.array([2, 0], np.int64)])
    check("CategoryMapper", [words.reshape(4, 1)], cats_strings=["a", "b"], cats_int64s=[5, 6])
    check("CategoryMapper", [numbers], cats_strings=["a", "b"], cats_int64s=[5, 3])
    check("LabelEncoder", [words], keys_strings=["a", "b"], values_floats=[1.5, 2.5], version=2)
    check("LabelEncoder", [X.round()], keys_floats=[0.0, 1.0], values_strings=["zero", "one"], version=2)
    check("LabelEncoder", [words], classes_strings=["a", "b"], version=1)

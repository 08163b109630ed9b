"""The optimiser on whole models: what it finds, what it leaves alone, and the manners of the result."""

from __future__ import annotations

import collections
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import parser

from onward import operators
from onward.errors import InvalidArgument
from onward.ir import Model, as_model
from onward.passes import PASSES, Report, Rule, all_rules, optimize
from onward.passes.rewrite import Rewriter

LIGHT = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx"))


def parse(text: str, opset: int = 18) -> Model:
    return as_model(parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}, "local" : 1]> {text}'))


def operators_of(model: Model) -> dict[str, int]:
    return dict(collections.Counter(node.op_type for node in model.graph.nodes))


def run(model: Model, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.to_bytes(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)  # type: ignore[no-any-return]


def feeds_for(model: Model, sizes: dict[str, int], seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    feeds = {}
    for value in model.graph.inputs:
        if value.tensor is None:
            shape = [extent if isinstance(extent, int) else sizes[str(extent)] for extent in value.shape or ()]
            assert value.dtype is not None
            data = random.standard_normal(shape) if value.dtype.is_float else random.integers(0, 4, shape)
            feeds[value.name] = np.asarray(data).astype(value.dtype.numpy)
    return feeds


def same(model: Model, sizes: dict[str, int] | None = None, **options: object) -> Model:
    """The optimised model, after a look at its numbers and its validity."""
    before = model.to_bytes()
    result = optimize(model, **options)  # type: ignore[arg-type]
    assert model.to_bytes() == before, "the argument was changed"
    operators.check(result)
    onnx.checker.check_model(onnx.load_from_string(result.to_bytes()), full_check=True)
    feeds = feeds_for(model, sizes or {})
    for left, right in zip(run(model, feeds), run(result, feeds)):
        assert left.dtype == right.dtype and left.shape == right.shape
        assert np.linalg.norm((left - right).ravel()) <= 1e-5 * (np.linalg.norm(left.ravel()) + 1e-6)
    return result


@pytest.mark.parametrize("path", LIGHT, ids=lambda path: path.stem)
def test_light_models(path: Path) -> None:
    model = as_model(path)
    result = same(model)
    assert len(result.graph.nodes) < len(model.graph.nodes)
    assert [value.name for value in result.graph.outputs] == [value.name for value in model.graph.outputs]
    assert "BatchNormalization" not in operators_of(result)


def test_shape_arithmetic_of_an_exporter_becomes_a_constant() -> None:
    model = parse("""
        g (float[batch, 3, length, 4] x) => (float[a, b, c] y)
        <int64[1] zero = {0}, int64[1] two = {2}, int64[1] minus = {-1}, int64[1] three = {3}> {
            s = Shape(x)
            n = Gather(s, zero)
            l = Gather(s, two)
            t = Concat<axis = 0>(n, three, minus)
            y = Reshape(x, t)
        }""")
    result = same(model, {"batch": 2, "length": 5})
    assert operators_of(result) == {"Reshape": 1}
    target = result.graph.nodes[0].inputs[1]
    assert target is not None and target.tensor is not None and list(target.tensor.numpy()).count(-1) <= 1


def test_nested_concatenations() -> None:
    model = parse("""
        g (float[2, 3] x, float[2, 0] nothing) => (float[2, 12] y) {
            a = Concat<axis = 1>(x, nothing)
            b = Concat<axis = -1>(a, x)
            c = Relu(x)
            y = Concat<axis = 1>(b, c, x)
        }""")
    assert operators_of(same(model)) == {"Relu": 1, "Concat": 1}


def test_transpositions_around_functions_meet() -> None:
    model = parse("""
        g (float[2, 3, 4, 5] x) => (float[2, 3, 4, 5] y) {
            a = Transpose<perm = [0, 2, 3, 1]>(x)
            b = Relu(a)
            c = Transpose<perm = [0, 3, 1, 2]>(b)
            d = Cast<to = 11>(c)
            e = Transpose<perm = [1, 0, 2, 3]>(d)
            f = Cast<to = 1>(e)
            y = Transpose<perm = [1, 0, 2, 3]>(f)
        }""")
    assert "Transpose" not in operators_of(same(model))


ATTENTION = """
    g (float[batch, seq, 24] x, float[batch, 1, 1, seq] mask) => (float[batch, seq, 24] y)
    <float[24, 24] wq = {%(w)s}, float[24, 24] wk = {%(w)s}, float[24, 24] wv = {%(w)s},
     int64[4] apart = {0, 0, 3, 8}, int64[3] together = {0, 0, 24}, float scale = {0.25}> {
        q1 = MatMul(x, wq)
        k1 = MatMul(x, wk)
        v1 = MatMul(x, wv)
        q2 = Reshape(q1, apart)
        k2 = Reshape(k1, apart)
        v2 = Reshape(v1, apart)
        q = Transpose<perm = [0, 2, 1, 3]>(q2)
        k = Transpose<perm = [0, 2, 3, 1]>(k2)
        v = Transpose<perm = [0, 2, 1, 3]>(v2)
        s1 = MatMul(q, k)
        s2 = Mul(s1, scale)
        s3 = Add(s2, mask)
        p = Softmax<axis = -1>(s3)
        o1 = MatMul(p, v)
        o2 = Transpose<perm = [0, 2, 1, 3]>(o1)
        y = Reshape(o2, together)
    }"""


def attention() -> Model:
    weights = ", ".join(f"{number:.3f}" for number in np.random.default_rng(1).standard_normal(576) / 5)
    return parse(ATTENTION % {"w": weights})


def test_attention_of_packed_heads() -> None:
    result = same(attention(), {"batch": 2, "seq": 5})
    found = operators_of(result)
    assert found["Attention"] == 1 and "Transpose" not in found and "Softmax" not in found
    assert found["MatMul"] == 1, "three equal products are one"
    node = next(node for node in result.graph.nodes if node.op_type == "Attention")
    assert node.attribute("q_num_heads") == 3 and abs(node.attribute("scale") - 0.25) < 1e-7
    assert result.opset_imports[""] == 23


def test_a_version_is_raised_no_further_than_needed() -> None:
    assert optimize(attention(), disable=["attention"]).opset_imports[""] == 18
    gelu = """g (float[4] x) => (float[4] y) <float half = {0.5}, float one = {1}, float root = {1.4142135}> {
        a = Div(x, root)  b = Erf(a)  c = Add(b, one)  d = Mul(x, c)  y = Mul(d, half) }"""
    result = same(parse(gelu))
    assert operators_of(result) == {"Gelu": 1} and result.opset_imports[""] == 20
    assert operators_of(optimize(parse(gelu), disable=["newer operators"]))["Erf"] == 1
    # RoiAlign means something else from version 16 on, so a model that has one goes no further than 15.
    other = (
        gelu.replace("float[4]", "float[1, 4, 2, 2]")
        .replace("a = Div(x, root)", "x2 = RoiAlign<output_height = 2, output_width = 2>(x, r, i)  a = Div(x2, root)")
        .replace("d = Mul(x, c)", "d = Mul(x2, c)")
        .replace("<float half", "<float[1, 4] r = {0, 0, 1, 1}, int64[1] i = {0}, float half")
    )
    kept = same(parse(other, 13))
    assert kept.opset_imports[""] == 13 and operators_of(kept)["Erf"] == 1


def test_a_reduction_of_version_17_is_no_obstacle() -> None:
    """Its axes become an input when a newer operator is worth it, and stay an attribute when none is."""
    text = """g (float[3, 4] x) => (float[3] y, float[3, 2] z) <float half = {0.5}, float one = {1}, float root = {1.4142135}> {
        a = Div(x, root)  b = Erf(a)  c = Add(b, one)  d = Mul(x, c)  e = Mul(d, half)
        y = ReduceMean<axes = [-1], keepdims = 0>(e)  z, w = Split<axis = 1>(e) }"""
    raised = same(parse(text, 17))
    assert operators_of(raised) == {"Gelu": 1, "ReduceMean": 1, "Split": 1} and raised.opset_imports[""] == 20
    kept = same(parse(text, 17), disable=["gelu by erf"])
    (reduction,) = (node for node in kept.graph.nodes if node.op_type == "ReduceMean")
    assert reduction.attribute("axes") == [-1] and kept.opset_imports[""] == 17


def test_a_mask_that_is_true_for_every_size_is_dropped() -> None:
    model = parse("""
        g (float[batch, 2, seq, seq] scores) => (float[batch, 2, seq, seq] y)
        <int64 zero = {0}, int64 one = {1}, float nothing = {0},
         float much = {-1e9}, int64[1] place = {1}> {
            s = Shape<start = 2, end = 3>(scores)
            n = Squeeze(s)
            r = Range(zero, n, one)
            u = Unsqueeze(r, place)
            c = GreaterOrEqual(u, zero)
            b = Shape<start = 0, end = 1>(scores)
            t = Concat<axis = 0>(b, place, s, s)
            e = Expand(c, t)
            m = Where(e, nothing, much)
            a = Add(scores, m)
            y = Relu(a)
        }""")
    assert operators_of(same(model, {"batch": 2, "seq": 3})) == {"Relu": 1}


MASK_OF_PACKED_SEQUENCES = """
    g (int64[batch, seq] tokens, float[batch, 2, seq, 4] x) => (float[batch, 2, seq, 4] y)
    <int64 zero = {0}, int64 one = {1}, int64[1] first = {0}, int64[1] second = {1}, int64[1] last = {-1}, int64[1] huge = {9223372036854775807},
     int64[2] before = {0, 1}, int64[3] of_query = {0, 1, 3}, int64[4] of_batch = {-1, 1, 1, 1}, float nothing = {0}, float much = {-1e38}, float half = {0.5}> {
        shape = Shape(tokens)
        b0 = Shape<start = 0, end = 1>(tokens)
        b = Squeeze(b0)
        s0 = Shape<start = 1, end = 2>(tokens)
        s = Squeeze(s0)
        number = Range(zero, s, one)
        row = Unsqueeze(number, first)
        places = Expand(row, shape)
        start = Slice(places, first, second, second)
        earlier = Sub(start, one)
        longer = Concat<axis = 1>(earlier, places)
        left = Slice(longer, first, last, second)
        right = Slice(longer, second, huge, second)
        step = Sub(right, left)
        goes_on = Equal(step, one)
        breaks = Not(goes_on)
        count = Cast<to = 7>(breaks)
        packed = CumSum(count, one)
        batch_number = Range(zero, b, one)
        batches = Reshape(batch_number, of_batch)
        of_key = Unsqueeze(row, before)
        queries = Unsqueeze(number, of_query)
        key_shape0 = Max(batches, of_key)
        key_shape = Shape(key_shape0)
        query_shape0 = Max(batches, queries)
        query_shape = Shape(query_shape0)
        key_batch = Expand(batches, key_shape)
        key_batch1 = Unsqueeze(key_batch, last)
        key_place = Expand(of_key, key_shape)
        key_place1 = Unsqueeze(key_place, last)
        at_key = Concat<axis = -1>(key_batch1, key_place1)
        query_batch = Expand(batches, query_shape)
        query_batch1 = Unsqueeze(query_batch, last)
        query_place = Expand(queries, query_shape)
        query_place1 = Unsqueeze(query_place, last)
        at_query = Concat<axis = -1>(query_batch1, query_place1)
        key = GatherND(places, at_key)
        query = GatherND(places, at_query)
        seen = LessOrEqual(key, query)
        pack_of_key = GatherND(packed, at_key)
        pack_of_query = GatherND(packed, at_query)
        one_pack = Equal(pack_of_key, pack_of_query)
        both = And(seen, one_pack)
        mask = Where(both, nothing, much)
        turned = Transpose<perm = [0, 1, 3, 2]>(x)
        product = MatMul(x, turned)
        scores = Mul(product, half)
        masked = Add(scores, mask)
        weights = Softmax<axis = -1>(masked)
        y = MatMul(weights, x)
    }"""


def test_a_mask_of_what_is_before_is_an_attribute_whatever_the_sizes() -> None:
    """transformers asks of each token whether its sequence begins anew; where positions are counted, none does."""
    result = same(parse(MASK_OF_PACKED_SEQUENCES), {"batch": 2, "seq": 5})
    assert operators_of(result) == {"Attention": 1}
    assert result.graph.nodes[0].attribute("is_causal") == 1


@pytest.mark.parametrize("spoil", [("LessOrEqual(key, query)", "LessOrEqual(query, key)"), ("GatherND(places, at_key)", "GatherND(tokens, at_key)")])
def test_other_masks_stay(spoil: tuple[str, str]) -> None:
    result = same(parse(MASK_OF_PACKED_SEQUENCES.replace(*spoil)), {"batch": 2, "seq": 5})
    attention = next(node for node in result.graph.nodes if node.op_type == "Attention")
    assert len(attention.inputs) == 4 and not attention.attribute("is_causal", 0)


@pytest.mark.parametrize("kind, seen, hidden", [("float", "0", "-3e38"), ("bool", "1", "0")])
@pytest.mark.parametrize("causal", [True, False])
def test_a_mask_in_numbers_of_what_is_before_is_an_attribute(kind: str, seen: str, hidden: str, causal: bool) -> None:
    rows = [[place <= row if causal else place >= row for place in range(3)] for row in range(3)]
    numbers = ", ".join(seen if item else hidden for row in rows for item in row)
    kinds = "float[2, 4, 3, 8] q, float[2, 4, 3, 8] k, float[2, 4, 3, 8] v"
    text = f"g ({kinds}) => (float[2, 4, 3, 8] y) <{kind}[1, 1, 3, 3] mask = {{{numbers}}}> {{ y = Attention(q, k, v, mask) }}"
    result = same(parse(text, 23))
    (attention,) = result.graph.nodes
    assert attention.attribute("is_causal", 0) == causal and len(attention.inputs) == (3 if causal else 4)


def test_a_mask_of_truths_of_what_is_before_is_an_attribute() -> None:
    """In any size, given to each example of the batch."""
    text = """
    g (float[batch, 4, seq, 8] q) => (float[batch, 4, seq, 8] y) <int64 zero = {0}, int64 one = {1}, int64[1] row = {0}, int64[1] column = {1}, int64[2] ones = {1, 1}> {
        sizes = Shape(q)
        n0 = Shape<start = 2, end = 3>(q)
        n = Squeeze(n0)
        places = Range(zero, n, one)
        key = Unsqueeze(places, row)
        query = Unsqueeze(places, column)
        seen = LessOrEqual(key, query)
        batch = Shape<start = 0, end = 1>(q)
        wanted = Concat<axis = 0>(batch, column, n0, n0)
        mask = Expand(seen, wanted)
        y = Attention(q, q, q, mask)
    }"""
    result = same(parse(text, 23), {"batch": 2, "seq": 5})
    assert operators_of(result) == {"Attention": 1} and result.graph.nodes[0].attribute("is_causal") == 1


def test_weights_that_are_trained_are_not_looked_at() -> None:
    model = parse("g (float[2] x) => (float[2] y) <float[2] weight = {1, 1}, float[2] factor = {1, 1}> { z = Mul(x, weight) y = Mul(z, factor) }")
    assert operators_of(optimize(model, trained=["weight"])) == {"Mul": 1}


def test_elements_at_a_grid_are_the_array_with_other_axes() -> None:
    """Of indices in another order it is transposed, and elements of equal numbers are that number."""
    model = parse("""
        g (float[rows, columns] x, int64[rows, columns] i) => (float[columns, 1, rows] y, int64[rows, columns] z)
        <int64 zero = {0}, int64 one = {1}, int64[1] last = {-1}, int64[2] of_column = {1, 2}, int64[2] of_row = {0, 1}, int64[1, 6] sevens = {7, 7, 7, 7, 7, 7}> {
            r0 = Shape<start = 0, end = 1>(x)
            r = Squeeze(r0)
            c0 = Shape<start = 1, end = 2>(x)
            c = Squeeze(c0)
            rows1 = Range(zero, r, one)
            columns1 = Range(zero, c, one)
            row = Unsqueeze(rows1, of_row)
            column = Unsqueeze(columns1, of_column)
            both = Add(row, column)
            shape = Shape(both)
            row_all = Expand(row, shape)
            column_all = Expand(column, shape)
            row_last = Unsqueeze(row_all, last)
            column_last = Unsqueeze(column_all, last)
            grid = Concat<axis = -1>(row_last, column_last)
            y = GatherND(x, grid)
            z0 = GatherElements<axis = 1>(sevens, i)
            z = Add(z0, i)
        }""")
    assert "GatherND" not in operators_of(same(model, {"rows": 1, "columns": 4})) and "GatherElements" not in operators_of(
        same(model, {"rows": 1, "columns": 4})
    )


def test_large_results_of_little_data_are_not_folded() -> None:
    model = parse("""
        g (float[100, 100] x) => (float[100, 100] y, float[4] z) <int64[2] size = {100, 100}, int64[1] few = {4}> {
            large = ConstantOfShape(size)
            other = Cos(large)
            y = Add(x, other)
            small = ConstantOfShape(few)
            one = Cos(small)
            z = Neg(one)
        }""")
    result = same(model)
    assert "ConstantOfShape" in operators_of(result)
    assert len(result.to_bytes()) < 4096
    assert sum(value.tensor.nbytes for value in result.graph.initializers.values() if value.tensor is not None) < 1024


def test_a_shared_weight_is_not_copied() -> None:
    weight = ", ".join(["0.5"] * 160000)
    model = parse(f"""
        g (float[2, 400] x) => (float[2, 400] y, float[2, 400] z) <float[400, 400] w = {{{weight}}}> {{
            y = MatMul(x, w)
            t = Transpose<perm = [1, 0]>(w)
            z = MatMul(x, t)
        }}""")
    assert operators_of(same(model)) == {"MatMul": 2, "Transpose": 1}


def test_equal_constants_and_equal_nodes_are_merged() -> None:
    model = parse("""
        g (float[3] x) => (float[3] y) <float[3] a = {1, 2, 3}, float[3] b = {1, 2, 3}> {
            p = Mul(x, a)
            q = Mul(x, b)
            r = Exp(p)
            s = Exp(q)
            y = Add(r, s)
        }""")
    assert operators_of(same(model)) == {"Mul": 1, "Exp": 1, "Add": 1}


@pytest.mark.parametrize(("dtype", "divisions"), [("float", 1), ("double", 2)])
def test_constants_are_combined_in_single_precision_alone(dtype: str, divisions: int) -> None:
    model = parse(f"""
        g ({dtype}[3] x) => ({dtype}[3] y) <{dtype} a = {{3.0}}, {dtype} b = {{7.0}}> {{
            p = Div(x, a)
            y = Div(p, b)
        }}""")
    assert operators_of(same(model)) == {"Div": divisions}


def test_random_numbers_are_not_merged() -> None:
    model = parse("""
        g (float[3] x) => (float[3] y) {
            a = RandomNormalLike(x)
            b = RandomNormalLike(x)
            y = Sub(a, b)
        }""")
    assert operators_of(optimize(model)) == {"RandomNormalLike": 2, "Sub": 1}


def test_functions_are_inlined() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18, "local" : 1]>
        g (float[3] x) => (float[3] y) { a = local.twice<factor = 3.0>(x)  y = local.outer(a) }
        <domain: "local", opset_import: ["" : 18, "local" : 1]>
        twice <factor> (v) => (w) { c = Constant<value_float: float = @factor>()  w = Mul(v, c) }
        <domain: "local", opset_import: ["" : 18, "local" : 1]>
        outer (v) => (w) { u = local.twice<factor = 2.0>(v)  w = Add(u, v) }"""
    model = as_model(parser.parse_model(text))
    result = same(model)
    assert not result.functions and "local" not in result.opset_imports
    assert operators_of(result) == {"Mul": 2, "Add": 1}


def test_dimensions_are_fixed_by_name() -> None:
    model = attention()
    result = optimize(model, dimensions={"batch": 2, "seq": 5})
    assert [value.shape for value in result.graph.inputs] == [(2, 5, 24), (2, 1, 1, 5)]
    feeds = feeds_for(model, {"batch": 2, "seq": 5})
    np.testing.assert_allclose(run(model, feeds)[0], run(result, feeds)[0], rtol=1e-4, atol=1e-5)
    shaped = optimize(model, shapes={"x": (2, 5, 24)})
    assert shaped.graph.inputs[1].shape == (2, 1, 1, 5)
    with pytest.raises(InvalidArgument, match="no input has a free dimension"):
        optimize(model, dimensions={"sequence": 5})
    with pytest.raises(InvalidArgument, match="cannot have"):
        optimize(model, shapes={"x": (2, 5, 25)})


def test_a_fed_initializer_is_no_constant() -> None:
    """From IR version 4 on, an initialiser that is also an input is a default that a caller may override."""
    text = """<ir_version: 8, opset_import: ["" : 18]> g (float[3] x, float[3] w) => (float[3] y)
        <float[3] w = {0, 0, 0}> { a = Add(x, w)  y = Relu(a) }"""
    result = optimize(as_model(parser.parse_model(text)))
    assert operators_of(result) == {"Add": 1, "Relu": 1}
    ones = np.ones(3, np.float32)
    np.testing.assert_array_equal(run(result, {"x": ones, "w": ones})[0], 2 * ones)


def test_a_condition_that_a_branch_uses_survives() -> None:
    """Values that only a sub-graph reads are not dead, and are replaced there as well."""
    model = parse("""
        g (float[3] x, bool c) => (float[3] y) <float zero = {0}> {
            a = Add(x, zero)
            b = Exp(a)
            y = If(c) <then_branch = t () => (float[3] p) { p = Neg(b) },
                       else_branch = e () => (float[3] q) { q = Mul(a, b) }>
        }""")
    result = optimize(model)
    operators.check(result)
    feeds = {"x": np.asarray([1, 2, 3], np.float32)}
    for truth in (True, False):
        given = {**feeds, "c": np.asarray(truth)}
        np.testing.assert_allclose(run(model, given)[0], run(result, given)[0])
    assert operators_of(result) == {"Exp": 1, "If": 1}


def test_a_branch_that_is_always_taken_stands_in_the_place_of_the_if() -> None:
    """The older PyTorch exporter asks the rank or an extent before it squeezes."""
    model = parse("""
        g (float[batch, 1, 3] x) => (float[batch, 3] y) <int64 one = {1}, int64[1] place = {1}> {
            e = Shape<start = 1, end = 2>(x)
            n = Squeeze(e)
            c = Equal(n, one)
            r = If(c) <then_branch = t () => (float[batch, 3] p) { p = Squeeze(x, place) },
                       else_branch = f () => (float[batch, 1, 3] q) { q = Identity(x) }>
            y = Relu(r)
        }""")
    result = same(model, {"batch": 2})
    assert operators_of(result) == {"Squeeze": 1, "Relu": 1}


def test_provenance_names_everything_that_was_replaced() -> None:
    text = """g (float[4] x) => (float[4] y) <float half = {0.5}, float one = {1}, float root = {1.4142135}> {
        a = Div(x, root)  b = Erf(a)  c = Add(b, one)  d = Mul(x, c)  y = Mul(d, half) }"""
    message = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> {text}')
    for index, node in enumerate(message.graph.node):
        node.name = f"layer{index}"
    model = as_model(message)
    (output,) = optimize(model).graph.outputs
    assert output.name == "y"
    assert {origin.node_name for origin in output.provenance} == {f"layer{index}" for index in range(5)}


@pytest.mark.parametrize("source", [attention, lambda: as_model(LIGHT[-4])], ids=["attention", LIGHT[-4].stem])
def test_the_model_is_valid_after_every_single_step(source: Callable[[], Model], monkeypatch: pytest.MonkeyPatch) -> None:
    fire = Rewriter._fire
    steps = []

    def checked(self: Rewriter, rule: Rule, match: object) -> bool:
        fired = fire(self, rule, match)  # type: ignore[arg-type]
        if fired:
            operators.check(self.facts.model)
            onnx.checker.check_model(onnx.load_from_string(self.facts.model.to_bytes()))
            steps.append(rule.name)
        return fired

    monkeypatch.setattr(Rewriter, "_fire", checked)
    optimize(source())
    assert len(steps) >= 2


def test_rules_can_be_switched_off_and_are_reported() -> None:
    report = Report()
    optimize(attention(), report=report)
    assert report.fired["attention"] == 1 and report.nodes_before == 16 and report.nodes_after < 16
    assert "attention" in str(report)
    silent = Report()
    names = [*PASSES, *(rule.name for rule in all_rules())]
    result = optimize(attention(), disable=names, report=silent)
    assert not silent.fired and len(result.graph.nodes) == 16
    with pytest.raises(InvalidArgument, match="no rule or pass"):
        optimize(attention(), disable=["atention"])


def test_the_result_is_a_fixed_point_and_always_the_same() -> None:
    first, second = optimize(attention()), optimize(attention())
    assert first.to_bytes() == second.to_bytes()
    report = Report()
    optimize(first, report=report)
    assert not report.fired

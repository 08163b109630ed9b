"""Every rule on graphs generated from its pattern: equal numbers before and after, valid models, near misses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented

from onward import operators
from onward import program as P
from onward.ir import Model, Tensor
from onward.passes import Report, Rule, all_rules
from onward.passes.facts import Facts
from onward.passes.pattern import Constant, roots, subpatterns
from onward.passes.rewrite import Rewriter
from tests.passes.examples import EXAMPLES
from tests.passes.generate import Case, Example, generate

ENOUGH = 4
MOST_DRAWS = 600
WRITTEN_OUT = {
    "concatenate",
    "shape of a computed value",
    "reshape to a constant shape",
    "attention of packed heads",
    "transpose around a function",
    "elements at a grid",
    "elements of equal numbers",
    "attention to what is before",
    "attention to what is before, written out",
    "sum of bytes written out",
    "elementwise product of bytes written out",
}
"""Rules whose pattern says too little for a graph, or is of another domain: test_optimize.py and test_quantization.py have graphs for them."""

RULES = [rule for rule in all_rules() if rule.name not in WRITTEN_OUT]


def evaluate(model: Model, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    program = operators.lower(model)
    return P.evaluate(list(program.outputs.values()), {item: feeds[item.label] for item in program.inputs})


def cases(rule: Rule, spoil: str = "") -> Iterator[Case]:
    example = EXAMPLES.get(rule.name, Example())
    for seed in range(MOST_DRAWS):
        for pattern in roots(rule.pattern):
            case = generate(pattern, example, seed, spoil=spoil)
            if case is not None and not operators.checker.find_problems(case.model):
                yield case


def apply(rule: Rule, model: Model) -> int:
    report = Report()
    Rewriter(Facts(model), [rule], report).run()
    return report.fired.get(rule.name, 0)


def assert_close(before: list[np.ndarray], after: list[np.ndarray], tolerance: float) -> None:
    assert len(before) == len(after)
    for left, right in zip(before, after):
        assert left.dtype == right.dtype and left.shape == right.shape
        if left.dtype.kind == "f":
            np.testing.assert_allclose(right, left, tolerance, tolerance * float(np.abs(left[np.isfinite(left)]).max(initial=1)))
        else:
            np.testing.assert_array_equal(right, left)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_keeps_the_numbers_and_the_model_valid(rule: Rule) -> None:
    tolerance = EXAMPLES.get(rule.name, Example()).tolerance
    fired = 0
    for case in cases(rule):
        before = evaluate(case.model, case.feeds)
        names = [value.name for value in (*case.model.graph.inputs, *case.model.graph.outputs)]
        times = apply(rule, case.model)
        if times:
            fired += 1
            operators.check(case.model)
            onnx.checker.check_model(onnx.load_from_string(case.model.to_bytes()), full_check=True)
            assert names == [value.name for value in (*case.model.graph.inputs, *case.model.graph.outputs)]
            assert_close(before, evaluate(case.model, case.feeds), tolerance)
        if fired >= ENOUGH:
            return
    pytest.fail(f"the rule fired on {fired} generated graphs only")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_value_with_another_user_is_not_replaced(rule: Rule) -> None:
    """An inner value that is also an output of the graph is still computed, and the numbers stay."""
    for count, case in enumerate(cases(rule, spoil="use")):
        before = evaluate(case.model, case.feeds)
        kept = case.model.graph.outputs[1].name
        apply(rule, case.model)
        assert case.model.graph.outputs[1].name == kept
        operators.check(case.model)
        assert_close(before, evaluate(case.model, case.feeds), EXAMPLES.get(rule.name, Example()).tolerance)
        if count >= 2:
            return


def numbers_of(rule: Rule) -> list[float]:
    """The numbers that the pattern asks for."""
    found = [item.value for item in subpatterns(rule.pattern) if isinstance(item, Constant)]
    return [number for number in found if number is not None and number != 0]


def spoiled(model: Model, numbers: list[float]) -> bool:
    """Moves every constant that is one of the numbers off by one part in a hundred; says whether there was one."""
    found = False
    for value in model.graph.initializers.values():
        assert value.tensor is not None
        data = value.tensor.numpy()
        if data.dtype.kind == "f" and any(np.allclose(data, number, 1e-4, 0) for number in numbers):
            value.tensor = Tensor.of(data * data.dtype.type(1.01))
            found = True
    return found


@pytest.mark.parametrize("rule", [rule for rule in RULES if numbers_of(rule)], ids=lambda rule: rule.name)
def test_a_near_miss_of_a_number_is_no_match(rule: Rule) -> None:
    seen = 0
    for case in cases(rule):
        control = case.model.copy()
        if not apply(rule, control) or not spoiled(case.model, numbers_of(rule)):
            continue
        assert not apply(rule, case.model)
        seen += 1
        if seen >= ENOUGH:
            return
    pytest.fail(f"the rule fired on {seen} generated graphs only")


NOT_IN_RUNTIME = {"scale into group normalization"}
"""Rules for which onnxruntime cannot run the generated graphs."""


def run_outside(model: Model, feeds: dict[str, np.ndarray]) -> list[np.ndarray] | None:
    """What onnxruntime computes, without optimisations; None where it has no kernel."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.to_bytes(), options, providers=["CPUExecutionProvider"])
    except NotImplemented:
        return None
    return session.run(None, feeds)  # type: ignore[no-any-return]


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.name not in NOT_IN_RUNTIME], ids=lambda rule: rule.name)
def test_onnxruntime_sees_no_difference(rule: Rule) -> None:
    tolerance = max(1e-5, EXAMPLES.get(rule.name, Example()).tolerance)
    for case in cases(rule):
        changed = case.model.copy()
        if not apply(rule, changed):
            continue
        before, after = run_outside(case.model, case.feeds), run_outside(changed, case.feeds)
        if before is not None and after is not None:
            assert_close(before, after, tolerance)
            return
    pytest.fail("onnxruntime ran none of the generated graphs")

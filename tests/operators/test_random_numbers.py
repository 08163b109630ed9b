"""Random operators: distributions, seeds, and independence of runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from onnx import parser

from onward.runtime import InferenceSession

COUNT = 200_000


def session(text: str) -> InferenceSession:
    return InferenceSession(parser.parse_model(f'<ir_version: 10, opset_import: ["" : 22]> g {text}').SerializeToString())


def largest_gap(sample: np.ndarray, distribution: np.ndarray) -> float:
    """The Kolmogorov-Smirnov statistic times sqrt(n); above 1.95 in one of a thousand samples."""
    steps = np.arange(sample.size + 1) / sample.size
    return float(max(np.abs(distribution - steps[:-1]).max(), np.abs(distribution - steps[1:]).max()) * math.sqrt(sample.size))


@pytest.mark.parametrize("seed", [1.0, 2.0, 77.0])
def test_uniform(seed: float) -> None:
    run = session(f"() => (float[{COUNT}] y) {{ y = RandomUniform<shape = [{COUNT}], low = -2.0, high = 3.0, seed = {seed}>() }}")
    sample = np.sort(run.run(None, {})[0].astype(np.float64))
    assert sample[0] >= -2 and sample[-1] < 3
    assert largest_gap(sample, (sample + 2) / 5) < 1.95


@pytest.mark.parametrize("seed", [1.0, 2.0, 77.0])
def test_normal(seed: float) -> None:
    run = session(f"() => (double[{COUNT}] y) {{ y = RandomNormal<shape = [{COUNT}], dtype = 11, mean = 1.0, scale = 2.0, seed = {seed}>() }}")
    sample = np.sort(run.run(None, {})[0])
    distribution = np.array([0.5 * math.erfc(-(value - 1) / 2 / math.sqrt(2)) for value in sample])
    assert largest_gap(sample, distribution) < 1.95


@pytest.mark.parametrize("operator", ["RandomNormalLike", "RandomUniformLike"])
def test_like(operator: str) -> None:
    run = session(f"(float[N, M] x) => (float[N, M] y) {{ y = {operator}<dtype = 1, seed = 5.0>(x) }}")
    (y,) = run.run(None, {"x": np.zeros((300, 200), np.float32)})
    mean, deviation = (0.5, 12**-0.5) if "Uniform" in operator else (0, 1)
    assert abs(y.mean() - mean) < 4 * deviation / math.sqrt(y.size) and abs(y.std() - deviation) < 0.02
    assert abs(np.corrcoef(y[:-1].ravel(), y[1:].ravel())[0, 1]) < 0.02, "neighbouring rows are independent"


def test_bernoulli() -> None:
    run = session("(double[N] x) => (bool[N] y) { y = Bernoulli<dtype = 9, seed = 3.0>(x) }")
    for probability in (0.0, 0.25, 0.9, 1.0):
        (y,) = run.run(None, {"x": np.full(COUNT, probability)})
        spread = math.sqrt(probability * (1 - probability) / COUNT)
        assert abs(y.mean() - probability) <= 4 * spread


def test_multinomial() -> None:
    run = session(f"(float[2, 3] x) => (int64[2, {COUNT}] y) {{ y = Multinomial<dtype = 7, sample_size = {COUNT}, seed = 3.0>(x) }}")
    probabilities = np.array([[0.2, 0.5, 0.3], [0.05, 0.05, 0.9]])
    (y,) = run.run(None, {"x": np.log(probabilities).astype(np.float32)})
    for row, expected in zip(y, probabilities):
        found = np.bincount(row, minlength=3) / COUNT
        assert np.abs(found - expected).max() < 4 * math.sqrt(0.25 / COUNT)


def test_dropout_in_training() -> None:
    text = (
        "(float[N] x) => (float[N] y, bool[N] kept) { r = Constant<value_float = 0.3>() t = Constant<value = bool {1}>() y, kept = Dropout<seed = 4>(x, r, t) }"
    )
    y, kept = session(text).run(None, {"x": np.ones(COUNT, np.float32)})
    assert abs(kept.mean() - 0.7) < 4 * math.sqrt(0.21 / COUNT)
    np.testing.assert_allclose(y, kept / np.float32(0.7), rtol=1e-6)


def test_seeds() -> None:
    """The same seed gives the same numbers in every session; another seed and no seed give others."""
    text = "() => (float[100] y) {{ y = RandomNormal<shape = [100]{}>() }}"
    first, again, other = (session(text.format(f", seed = {seed}")).run(None, {})[0] for seed in (1.0, 1.0, 2.0))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)

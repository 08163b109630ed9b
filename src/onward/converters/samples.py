"""One small model of each framework, seeded, with rows that it is tried with: what the matrix of conversions is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

COLUMNS, HIDDEN, CLASSES = 8, 16, 3


@dataclass(frozen=True)
class Sample:
    """A model of the framework `framework`; `make` gives the model and its example inputs, and imports the framework."""

    framework: str
    what: str
    make: Callable[[], tuple[Any, Any]]


def rows(count: int = 200, dtype: Any = np.float32) -> np.ndarray:
    """(count, columns) of random numbers."""
    return np.random.default_rng(1).standard_normal((count, COLUMNS)).astype(dtype)


def _labels(data: np.ndarray) -> np.ndarray:
    """A class for each row, which depends on products of columns."""
    return np.digitize(data[:, 0] * data[:, 1] + data[:, 2], [-0.5, 0.5])


def _torch() -> tuple[Any, Any]:
    import torch

    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(COLUMNS, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, CLASSES), torch.nn.Softmax(dim=1))
    return layers.eval(), (torch.from_numpy(rows(4)),)


def _tensorflow() -> tuple[Any, Any]:
    import tensorflow as tf

    random = np.random.default_rng(0)
    first, second = (tf.Variable(random.standard_normal(shape).astype(np.float32)) for shape in ((COLUMNS, HIDDEN), (HIDDEN, CLASSES)))

    @tf.function(input_signature=[tf.TensorSpec([None, COLUMNS], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def network(x: Any) -> Any:
        return tf.nn.softmax(tf.nn.tanh(x @ first) @ second)

    return network, rows(4)


def _keras() -> tuple[Any, Any]:
    import keras

    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(HIDDEN, activation="relu"), keras.layers.Dense(CLASSES, activation="softmax")]
    return keras.Sequential([keras.Input((COLUMNS,)), *layers]), None


def _pipeline() -> tuple[Any, Any]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = rows(dtype=np.float64)
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(data, _labels(data)), data


def _forest() -> tuple[Any, Any]:
    from sklearn.ensemble import RandomForestRegressor

    data = rows(dtype=np.float64)
    return RandomForestRegressor(n_estimators=10, max_depth=4, random_state=0).fit(data, data[:, 0] * data[:, 1] + data[:, 2]), data


def _boosting() -> tuple[Any, Any]:
    import xgboost

    data = rows()
    matrix = xgboost.DMatrix(data, label=data[:, 0] * data[:, 1] + data[:, 2])
    return xgboost.train({"max_depth": 4, "seed": 0, "nthread": 1}, matrix, 10), None


SAMPLES = (
    Sample("torch", "PyTorch: a perceptron", _torch),
    Sample("tensorflow", "TensorFlow: a perceptron", _tensorflow),
    Sample("keras", "Keras: a perceptron", _keras),
    Sample("sklearn", "scikit-learn: scaler and logistic regression", _pipeline),
    Sample("sklearn", "scikit-learn: a random forest", _forest),
    Sample("xgboost", "XGBoost: boosted trees", _boosting),
)
"""Networks end with a softmax."""

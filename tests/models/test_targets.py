"""Real models through the targets: some of those of benchmarks/targets.py, which takes them all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
from tools.light_models import FOLDER, random_input, with_random_weights

from onward.converters.targets import TARGETS, subject_of
from onward.converters.targets.proof import prove
from onward.ir import Model, as_model

pytestmark = pytest.mark.models


@pytest.mark.parametrize("target", ["torch", "tensorflow", "keras", "jax", "numpy"])
@pytest.mark.parametrize("name", ["squeezenet", "shufflenet"])
def test_light_networks(name: str, target: str) -> None:
    """The proof passes, and onnxruntime gives the same."""
    pytest.importorskip(target)
    network = with_random_weights(FOLDER / f"light_{name}.onnx")
    subject = _proved(as_model(network.SerializeToString()), target)
    feeds = random_input(network)
    (expected,) = onnxruntime.InferenceSession(network.SerializeToString()).run(None, feeds)
    (found,) = subject(*feeds.values())
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("target", ["torch", "tensorflow", "keras", "jax"])
def test_transformers(target: str) -> None:
    """BERT with two layers, as PyTorch's own exporter writes it, at other sizes than it was exported with."""
    pytest.importorskip(target)
    subject = _proved(_bert(), target)
    assert subject(np.ones((3, 5), np.int64), np.ones((3, 5), np.int64))[0].shape == (3, 5, 64)


def _proved(model: Model, target: str) -> Callable[..., list[np.ndarray]]:
    subject = subject_of(model, target, {})
    found = prove(subject, TARGETS[target], {}, None, None, None)
    assert not found["notes"] and all(item["relative"] <= 1e-5 for item in found["differences"].values())
    return subject.function


def _bert() -> Model:
    import io

    import torch
    from tools.export_models import TEXT_AXES, masked_tokens, of_transformers, quiet

    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96, "vocab_size": 30000}
    module = of_transformers("BertConfig", "BertModel", "last_hidden_state", **sizes)()
    feeds = masked_tokens(2, 7)
    file = io.BytesIO()
    with quiet():
        torch.onnx.export(
            module, tuple(map(torch.from_numpy, feeds.values())), file, dynamo=False, opset_version=17, input_names=list(feeds),
            output_names=["y"], dynamic_axes={name: TEXT_AXES for name in feeds},
        )  # fmt: skip
    return as_model(file.getvalue())

"""Models that are researched in PyTorch and used elsewhere: the same module back, followed by PyTorch's compilers, and trained by Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import onward
from tests.converters.targets.test_torch import assert_same

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
nn = torch.nn

pytestmark = pytest.mark.models

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


class Tagger(nn.Module):
    """A class for each word of a sentence."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 16)
        self.lstm = nn.LSTM(16, 12, 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(24, 5)

    def forward(self, x: Any) -> Any:
        return self.head(self.lstm(self.embedding(x))[0])


class Basic(nn.Module):
    """A block of ResNet-18."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)) if inputs != outputs else nn.Identity()

    def forward(self, x: Any) -> Any:
        return torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))) + self.downsample(x))


def residual() -> Any:
    blocks = [Basic(inputs, outputs, 1 + (inputs != outputs)) for inputs, outputs in ((16, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64))]
    stem = nn.Conv2d(3, 16, 7, 2, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


class Logits(nn.Module):
    """A model of transformers with one result."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Any) -> Any:
        return self.body(x).logits


def vit() -> Any:
    return Logits(transformers.ViTForImageClassification(transformers.ViTConfig(image_size=32, patch_size=8, num_labels=5, **SMALL)))


def gpt2() -> Any:
    return Logits(transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=32, vocab_size=60, use_cache=False)))


CASES: dict[str, tuple[Callable[[], Any], Callable[[int], Any]]] = {
    "residual": (residual, lambda count: torch.randn(count, 3, 64, 64)),
    "tagger": (Tagger, lambda count: torch.randint(0, 50, (count, 7))),
    "vit": (vit, lambda count: torch.randn(count, 3, 32, 32)),
    "gpt2": (gpt2, lambda count: torch.randint(0, 60, (count, 9))),
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_module_comes_back(name: str) -> None:
    """State, results, gradients; torch.export with an open batch; torch.compile, which itself does not follow nn.LSTM."""
    torch.manual_seed(0)
    make, data = CASES[name]
    module, x = make().eval(), data(4)
    again = onward.convert(module, (x,), to="torch")
    assert_same(module, again, (x,))
    with torch.no_grad():
        exported = torch.export.export(again, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},)).module()
        other = data(3)
        torch.testing.assert_close(exported(other), again(other))
        if name != "tagger":
            torch.testing.assert_close(torch.compile(again, fullgraph=True, backend="aot_eager")(x), again(x))


@pytest.mark.parametrize("name", CASES)
def test_keras_trains_it(name: str) -> None:
    keras = pytest.importorskip("keras")
    if keras.backend.backend() == "numpy":
        pytest.skip("Keras does not train on its NumPy backend: KERAS_BACKEND=tensorflow")
    torch.manual_seed(0)
    make, data = CASES[name]
    model = onward.convert(make().eval(), (data(4),), to="keras")
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = data(16).numpy()
    classes = np.random.default_rng(0).integers(0, 5, tuple(model(x).shape[:-1]))
    losses = model.fit(x, classes, epochs=6, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]

"""MultiHeadAttention and EinsumDense as layers of Keras, from Keras's own models and from PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onward

keras = pytest.importorskip("keras")
torch = pytest.importorskip("torch")


def with_random_weights(model: Any) -> Any:
    g = np.random.default_rng(0)
    model.set_weights([(0.3 * g.standard_normal(item.shape)).astype(np.float32) for item in model.get_weights()])
    return model


def kinds(model: Any) -> list[str]:
    return [type(layer).__name__ for layer in model.layers if type(layer).__name__ != "InputLayer"]


@pytest.mark.parametrize(
    "options, call",
    [
        ({}, {}), ({"value_dim": 3, "output_shape": 6}, {}), ({"use_bias": False}, {"use_causal_mask": True}),
        ({"use_bias": False, "value_dim": 5}, {"key": True}),
    ],
)  # fmt: skip
def test_there_and_back(options: dict[str, Any], call: dict[str, Any]) -> None:
    query, value, key = keras.Input((7, 16)), keras.Input((5, 12)), keras.Input((5, 10))
    inputs = [query, value, key] if "key" in call else [query, value]
    given = {**call, "key": key} if "key" in call else call
    model = with_random_weights(keras.Model(inputs, keras.layers.MultiHeadAttention(4, 8, name="attention", **options)(query, value, **given)))
    again = onward.convert(onward.convert(model), to="keras")
    assert kinds(again) == ["MultiHeadAttention"]
    assert again.layers[-1].name == "attention"
    for ours, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_equation() -> None:
    x = keras.Input((None, 12))
    model = with_random_weights(keras.Model(x, keras.layers.EinsumDense("abc,cde->abde", (None, 3, 4), bias_axes="de", name="einsum")(x)))
    again = onward.convert(onward.convert(model), to="keras")
    assert kinds(again) == ["EinsumDense"]
    for ours, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


class Attention(torch.nn.Module):
    """As the models of transformers write it. `masked` is the mask: truth values, the lowest of numbers or one that is only low, or any numbers."""

    def __init__(self, bias: bool, causal: bool, masked: str = "") -> None:
        super().__init__()
        self.query, self.key, self.value = (torch.nn.Linear(16, 32, bias=bias) for _ in range(3))
        self.output = torch.nn.Linear(32, 16, bias=bias)
        self.causal, self.masked = causal, masked

    def forward(self, x: Any) -> Any:
        batch, length, _ = x.shape
        query, key, value = (layer(x).view(batch, length, 4, 8).transpose(1, 2) for layer in (self.query, self.key, self.value))
        seen = x[:, None, None, :, 0] > 0
        masks = {"truth": seen.expand(batch, 1, length, length), "numbers": x[:, None, None, :, 0] * 0.5}
        for name, low in (("lowest", torch.finfo(torch.float32).min), ("low", -10000.0)):
            masks[name] = torch.where(seen, 0.0, low).expand(batch, 1, length, length)
        mask = masks.get(self.masked)
        mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=self.causal)
        return self.output(mixed.transpose(1, 2).reshape(batch, length, 32))


@pytest.mark.parametrize("bias, causal", [(True, False), (False, True)])
def test_from_torch(bias: bool, causal: bool) -> None:
    source = Attention(bias, causal).eval()
    again = onward.convert(onward.convert(source, (torch.randn(2, 7, 16),)), to="keras")
    assert kinds(again) == ["MultiHeadAttention"]
    (layer,) = again.layers[1:]
    kernel = np.asarray(layer.get_weights()[0]).reshape(16, 32)
    np.testing.assert_array_equal(kernel, source.query.weight.detach().numpy().T)


@pytest.mark.parametrize(
    "mask, expected", [("truth", "MaskedAttention"), ("lowest", "MultiHeadAttention"), ("low", "Attention"), ("numbers", "Attention")],
)  # fmt: skip
def test_masks(mask: str, expected: str) -> None:
    """The proof has data in which a place sees nothing: Keras gives it the mean of all values, as it comes out of the lowest of numbers, and not of a low one."""
    source = Attention(True, False, mask).eval()
    model = onward.convert(source, (torch.randn(2, 7, 16),), to="keras")
    assert expected in kinds(model)
    x = np.random.default_rng(0).standard_normal((2, 7, 16)).astype(np.float32)
    x[0, :, 0] = -1
    np.testing.assert_allclose(model(x), source(torch.from_numpy(x)).detach().numpy(), atol=1e-5)

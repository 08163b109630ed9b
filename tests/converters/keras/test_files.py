"""Files of Keras, converted where Keras is not installed, compute what Keras computes."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onward
from onward import program as P
from onward.converters.keras.files import SavedModel
from onward.errors import FormatError, UnsupportedModel, UnsupportedOperator
from onward.operators import lower
from tests.converters.keras.test_layers import IMAGE, MERGING, SINGLE, Cell, Root

keras = pytest.importorskip("keras")
L, O = keras.layers, keras.ops  # noqa: E741

DRAWING = {
    "AugMix", "CutMix", "MixUp", "RandAugment", "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast",
    "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective",
    "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom",
}  # fmt: skip
"""Layers that do nothing at inference; Keras cannot write some of them."""
UNKNOWN = {"Lambda", "STFTSpectrogram", "MelSpectrogram", "AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "RandomCrop", "Solarization"}
"""Layers that only Keras's code describes."""
OWN_CELL = 1
"""The place of a recurrent layer with a cell of the user's own."""


CASES: dict[Any, dict[str, Any]] = {}
"""Makers of layers by the shape of their input."""
for name, cases in SINGLE.items():
    for place, (maker, shape) in enumerate(cases):
        if name not in DRAWING | UNKNOWN and (name, place) != ("RNN", OWN_CELL):
            CASES.setdefault(shape, {})[f"{name}_{place}"] = maker


def layers_of(shape: Any) -> Any:
    """A model of all layers that are tried on inputs of a shape, side by side."""
    given = keras.Input((4,), dtype="int32") if shape == "int" else keras.Input(shape)
    return keras.Model(given, {name: maker()(given) for name, maker in CASES[shape].items()})


def masked(*layers: Any) -> Any:
    return keras.Sequential([keras.Input((None,), dtype="int32"), L.Embedding(4, 4, mask_zero=True), *layers])


def side_by_side() -> Any:
    a, b = pair = [keras.Input((5, 8), name="a"), keras.Input((5, 8), name="b")]
    return keras.Model(pair, {
        "concat": L.Attention(score_mode="concat", use_scale=True)(pair), "additive": L.AdditiveAttention()(pair), "dot": L.Dot(2)(pair),
        "groups": L.GroupQueryAttention(4, 4, 2)(a, b), "cosine": L.Dot((1, 1), normalize=True)(pair),
        "scores": L.MultiHeadAttention(2, 4, value_dim=3)(a, b, return_attention_scores=True)[1], **{name: getattr(L, name)()(pair) for name in MERGING},
    })  # fmt: skip


def attention_with_masks() -> Any:
    """Each with rows of its own: Keras takes the mask off those that it has attended to."""
    words = keras.Input((None,), dtype="int32")

    def rows() -> Any:
        return L.Embedding(4, 8, mask_zero=True)(words)

    def attended(layer: Any, **how: Any) -> Any:
        x = rows()
        return layer(x, x, **how)

    heads = [attended(L.MultiHeadAttention(2, 4)), attended(L.MultiHeadAttention(2, 4, dropout=0.1), use_causal_mask=True)]
    return keras.Model(words, [*heads, L.Attention()([rows(), rows()]), L.AdditiveAttention()([rows(), rows()]), attended(L.GroupQueryAttention(4, 4, 2))])


def masks_together() -> Any:
    one, other = keras.Input((None,), dtype="int32", name="one"), keras.Input((None,), dtype="int32", name="other")
    words = L.Embedding(4, 4, mask_zero=True)
    joined = [L.LSTM(2)(layer([words(one), words(other)])) for layer in (L.Add(), L.Concatenate())]
    inside = keras.Input((None, 4))
    inner = keras.Model(inside, L.Dense(3, activation=L.LeakyReLU(0.2))(L.LSTM(3, return_sequences=True)(inside)))
    return keras.Model([one, other], [*joined, L.LSTM(2)(L.Masking(0.5)(words(one))), L.GRU(2)(inner(words(one)))])


def states() -> Any:
    x = keras.Input((None, 4))
    y, h, c = L.LSTM(3, return_sequences=True, return_state=True)(x)
    return keras.Model(x, [y, h, c, L.LSTM(3)(y, initial_state=[h, c])])


def operations() -> Any:
    x = inputs = keras.Input((12, 12, 3))
    x = L.BatchNormalization()(L.Conv2D(4, 3, activation="relu")(x))
    x = O.transpose(x, (0, 2, 1, 3))[:, 1:, ..., ::-1]
    x = O.concatenate([x, O.relu(x)], axis=-1)
    x = O.mean(x, axis=(1, 2)) + O.max(x, axis=(1, 2)) * O.sqrt(O.abs(O.sum(x))) + np.ones(8, np.float32)
    x = O.clip(O.where(x > 0, x, x * 0.1), -1, 1)
    x = O.softmax(O.reshape(x, (-1, 4, 2)), axis=-1)
    x = O.matmul(O.einsum("bij,bkj->bik", x, x), x)
    shared = keras.Sequential([L.Dense(2), keras.Sequential([L.Dense(2, activation="tanh"), L.Normalization()])])
    return keras.Model(inputs, {"first": O.split(O.stack([x, x], axis=1), 2, axis=1)[0], "second": shared(shared(x))})


def quantized(mode: str, block: int | None = None) -> Any:
    """Layers of codes side by side: a code that falls to the other side of a half moves the next layer's by whole steps."""
    words, x = keras.Input((5,), dtype="int32"), keras.Input((5, 7))
    tied, free = L.ReversibleEmbedding(9, 7), L.ReversibleEmbedding(9, 7, tie_weights=False, logit_soft_cap=2.0)
    heads = L.EinsumDense("abc,cde->abde", output_shape=(None, 2, 3), bias_axes="de")
    model = keras.Model([words, x], [
        L.Embedding(9, 5)(words), tied(words), free(words), tied(x, reverse=True), free(x, reverse=True), L.Dense(4, activation="relu")(x),
        heads(x), L.EinsumDense("abc,bcd->ad", output_shape=(5,))(x),
        L.MultiHeadAttention(2, 3)(x, x), L.GroupQueryAttention(3, 4, 2, use_gate=True)(x, x),
    ])  # fmt: skip
    kinds = {"int4": keras.quantizers.Int4QuantizationConfig, "int8": keras.quantizers.Int8QuantizationConfig}
    config = kinds[mode](**{"block_size": block} if mode == "int4" else {}) if mode in kinds else None
    model.quantize(mode, config=config)
    for weight in model.weights if mode == "float8" else []:
        if weight.name.endswith("_scale"):
            weight.assign(0.01)
    return model


CODED: dict[str, Callable[[], Any]] = {
    "int8": lambda: quantized("int8"),
    "int4": lambda: quantized("int4"),
    "groups of int4": lambda: quantized("int4", 3),
    "float8": lambda: quantized("float8"),
}
MODELS: dict[str, Callable[[], Any]] = {
    **{f"layers{place}": lambda shape=shape: layers_of(shape) for place, shape in enumerate(CASES)},
    "recurrence": lambda: masked(L.LSTM(3, return_sequences=True), L.GRU(2)),
    "both ways": lambda: masked(L.Bidirectional(L.LSTM(3, return_sequences=True)), L.Bidirectional(L.GRU(2))),
    "backwards": lambda: masked(L.SimpleRNN(3, return_sequences=True, go_backwards=True, zero_output_for_mask=True), L.GlobalAveragePooling1D()),
    "cells": lambda: masked(L.RNN(L.StackedRNNCells([L.LSTMCell(3), L.GRUCell(5)]))),
    "half": lambda: keras.Sequential([keras.Input((6,)), L.Dense(4, dtype="mixed_float16"), L.LayerNormalization(dtype="mixed_float16")]),
    "side by side": side_by_side, "attention with masks": attention_with_masks, "masks together": masks_together, "states": states,
    "operations": operations, **CODED,
}  # fmt: skip

PROGRAM = """
import sys
sys.modules["keras"] = sys.modules["tensorflow"] = sys.modules["jax"] = None
import onward
from onward import program as P
from onward.converters import Certificate
for path in sys.argv[1:]:
    onward.save(onward.convert(path, verify=False), path + ".onnx")
assert any("could not be run" in note for note in Certificate.of(onward.convert(path)).notes)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any]]]:
    """All models as files with what a process without Keras makes of them, and the models themselves."""
    found, models = tmp_path_factory.mktemp("files"), {}
    for name, maker in MODELS.items():
        keras.utils.set_random_seed(3)
        models[name] = model = maker()
        random = np.random.default_rng(2)
        for weight in model.weights:
            if "float" in weight.dtype and name not in CODED:
                weight.assign(random.uniform(0.2, 0.7, weight.shape) if "variance" in weight.path else 0.4 * random.standard_normal(weight.shape))
        for layer in model._flatten_layers():
            if isinstance(layer, L.Normalization):
                layer.finalize_state()
        for ending in ("keras", "h5"):
            model.save(found / f"{name}.{ending}")
    done = subprocess.run([sys.executable, "-c", PROGRAM, *map(str, found.glob("*.*")), str(found / "half.keras")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    yield found, models


@pytest.mark.parametrize("name", MODELS)
def test_both_forms_of_files_give_the_same(saved: tuple[Path, dict[str, Any]], name: str) -> None:
    folder, _ = saved
    assert (folder / f"{name}.keras.onnx").read_bytes() == (folder / f"{name}.h5.onnx").read_bytes()


@pytest.mark.parametrize("name", MODELS)
def test_file(saved: tuple[Path, dict[str, Any]], name: str) -> None:
    folder, models = saved
    model = models[name]
    random = np.random.default_rng(1)
    data = []
    for symbol in model.inputs:
        shape = tuple(3 if axis == 0 else 6 if extent is None else extent for axis, extent in enumerate(symbol.shape))
        data.append(random.integers(0, 4, shape).astype("int32") if "int" in symbol.dtype else random.standard_normal(shape).astype("float32"))
    theirs = [O.convert_to_numpy(item) for item in keras.tree.flatten(model(data if len(data) > 1 else data[0], training=False))]
    program = lower(onward.load(folder / f"{name}.keras.onnx"))  # evaluated as it stands: to compile so many layers takes minutes
    ours = P.evaluate(list(program.outputs.values()), dict(zip(program.inputs, data, strict=True)))
    for output, mine, other in zip(program.outputs, ours, theirs, strict=True):
        assert mine.shape == other.shape, output
        tolerance = 5e-3 if other.dtype == np.float16 or name == "half" else 1e-5
        assert np.abs(mine.astype(np.float64) - other).max() <= tolerance * max(np.abs(other).max(), 1e-9), output


def converted(path: Path) -> onward.Model:
    """By the configuration, though Keras is here."""
    from onward.converters.request import Request

    made: onward.Model = SavedModel.read(path).convert(Request(SavedModel.read(path)))[0]
    return made


def test_everything_that_only_code_describes_is_named_at_once(tmp_path: Path) -> None:
    x = keras.Input((60,))
    sequence = keras.Input((6, 4))
    image = keras.Input(IMAGE)
    found = [L.MelSpectrogram(num_mel_bins=5, fft_length=16, sequence_stride=4, sampling_rate=100, max_freq=50)(x), Root()(x), L.RNN(Cell(3))(sequence)]
    found += [L.Dense(2)(L.Lambda(lambda item: item + 1, output_shape=(60,))(x)), O.median(x, axis=1), L.AutoContrast()(image)]
    keras.Model([x, sequence, image], found).save(tmp_path / "m.keras")
    with pytest.raises(UnsupportedOperator, match=r"(?s)^6 parts.*pip install onward\[keras\]") as problem:
        converted(tmp_path / "m.keras")
    assert all(
        name in str(problem.value) for name in ("layer MelSpectrogram", "layer Root", "cell Cell", "layer Lambda", "keras.ops Median", "layer AutoContrast")
    )


def test_weights_keep_their_paths(tmp_path: Path) -> None:
    x = keras.Input((5,))
    dense = L.Dense(5, name="shared")
    keras.Model(x, L.GRU(5, name="steps")(L.Reshape((1, 5))(dense(dense(x))))).save(tmp_path / "m.keras")
    made = converted(tmp_path / "m.keras")
    assert {"shared/bias", "shared/kernel"} <= set(made.graph.initializers)
    assert {node.metadata["onward.module"] for node in made.graph.nodes if node.op_type == "MatMul"} == {"shared"}


def test_models_of_ones_own_say_what_to_do(tmp_path: Path) -> None:
    class Own(keras.Model):
        def call(self, x: Any) -> Any:
            return x

    model = Own()
    model(np.ones((1, 2), np.float32))
    model.save(tmp_path / "m.keras")
    with pytest.raises(UnsupportedModel, match="install Keras"):
        converted(tmp_path / "m.keras")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], bytes]:
    """Configuration and weights of a small file."""
    path = tmp_path_factory.mktemp("whole") / "m.keras"
    x = keras.Input((5,))
    keras.Model(x, O.relu(L.Dense(3)(L.Activation("tanh")(x)))).save(path)
    with zipfile.ZipFile(path) as package:
        return json.loads(package.read("config.json")), package.read("model.weights.h5")


def every_part(item: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of all that stands in a configuration."""
    for key in list(item) if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else []:
        yield item, key
        yield from every_part(item[key])


@pytest.mark.parametrize("damage", [None, "other", 3, [], {}], ids=str)
def test_damaged_configurations_are_refused(tmp_path: Path, whole: tuple[dict[str, Any], bytes], damage: Any) -> None:
    config, weights = whole
    count = len(list(every_part(config)))
    for place in range(0, count, 5):
        spoilt = json.loads(json.dumps(config))
        container, key = list(every_part(spoilt))[place]
        container[key] = damage
        with zipfile.ZipFile(tmp_path / "m.keras", "w") as package:
            package.writestr("config.json", json.dumps(spoilt))
            package.writestr("model.weights.h5", weights)
        try:
            converted(tmp_path / "m.keras")
        except onward.errors.OnwardError:
            pass


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive"])
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_what_is_no_file_of_keras(tmp_path: Path, content: bytes, ending: str) -> None:
    (tmp_path / f"m.{ending}").write_bytes(content)
    with pytest.raises(FormatError, match="no file of Keras"):
        converted(tmp_path / f"m.{ending}")

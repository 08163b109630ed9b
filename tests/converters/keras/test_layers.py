"""Every class in keras.layers becomes ONNX, or stands below with the reason."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import onward
from onward.converters import Certificate
from onward.errors import UnsupportedOperator

keras = pytest.importorskip("keras")

L = keras.layers
ABSTRACT = {"Layer", "Wrapper", "InputSpec", "StackedRNNCells", "LSTMCell", "GRUCell", "SimpleRNNCell"}
"""Not layers by themselves."""
IMAGE, SEQUENCE, ROWS, VOLUME = (9, 8, 3), (6, 4), (5,), (5, 6, 4, 2)


class Root(L.Layer):
    """A layer of the user's own."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(shape[-1],), name="scale", initializer="random_normal")

    def call(self, x: Any) -> Any:
        return keras.ops.sqrt(keras.ops.abs(x * self.scale) + 1) - keras.ops.mean(x, axis=-1, keepdims=True)


class Cell(L.Layer):
    """A recurrent cell of the user's own."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.units = self.state_size = units

    def build(self, shape: Any) -> None:
        self.inner = self.add_weight(shape=(self.units, self.units), initializer="random_normal")
        self.outer = self.add_weight(shape=(shape[-1], self.units), initializer="random_normal")

    def call(self, x: Any, states: Any) -> Any:
        state = keras.ops.tanh(x @ self.outer + states[0] @ self.inner)
        return 2 * state, [state]


class Kept(L.LSTM):
    """A class that keeps the call of a layer of Keras."""


SINGLE: dict[str, list[tuple[Any, Any]]] = {
    **{f"Adaptive{kind}Pooling{rank}D": [(lambda kind=kind, rank=rank: getattr(L, f"Adaptive{kind}Pooling{rank}D")(4), shape)] for kind in ("Average", "Max") for rank, shape in ((1, SEQUENCE), (2, IMAGE), (3, (5, 6, 5, 2)))},
    "Activation": [(lambda name=name: L.Activation(name), ROWS) for name in (
        "relu", "relu6", "gelu", "silu", "elu", "selu", "softplus", "softsign", "tanh", "sigmoid", "hard_sigmoid", "hard_silu", "leaky_relu",
        "log_softmax", "softmax", "exponential", "log_sigmoid", "hard_tanh", "hard_shrink", "soft_shrink", "tanh_shrink", "celu", "mish",
    )],
    "ActivityRegularization": [(lambda: L.ActivityRegularization(0.1), ROWS)],
    "AlphaDropout": [(lambda: L.AlphaDropout(0.5), ROWS)],
    "AveragePooling1D": [(lambda: L.AveragePooling1D(2, padding="same"), SEQUENCE)],
    "AveragePooling2D": [(lambda: L.AveragePooling2D(3, 2, "same"), IMAGE), (lambda: L.AveragePooling2D(2), (None, None, 3))],
    "AveragePooling3D": [(lambda: L.AveragePooling3D(2), VOLUME)],
    "BatchNormalization": [(lambda: L.BatchNormalization(beta_initializer="random_normal", moving_mean_initializer="random_normal"), IMAGE), (lambda: L.BatchNormalization(scale=False, center=False), ROWS), (lambda: L.BatchNormalization(axis=2, moving_mean_initializer="random_normal"), IMAGE)],
    "Bidirectional": [(lambda merge=merge: L.Bidirectional(L.LSTM(3, return_sequences=True), merge_mode=merge), (None, 4)) for merge in ("concat", "sum", "ave", "mul")],
    "Conv1D": [(lambda: L.Conv1D(3, 3, padding="causal", dilation_rate=2, activation="tanh"), SEQUENCE), (lambda: L.Conv1D(3, 3, 2, "same"), (None, 4))],
    "Conv2D": [(lambda: L.Conv2D(6, 3, 2, "same", groups=3, bias_initializer="random_normal"), (None, None, 3)), (lambda: L.Conv2D(4, (3, 2), dilation_rate=2, padding="same"), IMAGE)],
    "Conv3D": [(lambda: L.Conv3D(3, 2, 2, "same"), VOLUME)],
    "ConvLSTM1D": [(lambda: L.ConvLSTM1D(3, 3, padding="same", return_sequences=True), (None, 6, 2))],
    "ConvLSTM2D": [(lambda: L.ConvLSTM2D(3, (3, 2)), (3, 6, 5, 2))],
    "ConvLSTM3D": [(lambda: L.ConvLSTM3D(2, 2), (3, 4, 5, 4, 2))],
    "RNN": [(lambda: L.RNN([L.LSTMCell(3), L.GRUCell(5)], return_sequences=True), (None, 4)), (lambda: L.RNN(Cell(3), go_backwards=True), SEQUENCE)],
    "STFTSpectrogram": [(lambda: L.STFTSpectrogram(mode="log", frame_length=8, frame_step=4, fft_length=8), (40, 1))],
    "MelSpectrogram": [(lambda: L.MelSpectrogram(num_mel_bins=5, fft_length=16, sequence_stride=4, sampling_rate=100, max_freq=50), (60,))],
    "Solarization": [(lambda: L.Solarization(0.3, 0.5, value_range=(0, 1)), IMAGE)],
    "RandomCrop": [(lambda: L.RandomCrop(4, 5), IMAGE)],
    "Pipeline": [(lambda: L.Pipeline([L.Rescaling(2.0), L.RandomFlip()]), IMAGE)],
    **{name: [(getattr(L, name), IMAGE)] for name in ("AugMix", "AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "CutMix", "MixUp", "RandAugment", "RandomColorJitter", "RandomElasticTransform")},
    "RandomColorDegeneration": [(lambda: L.RandomColorDegeneration(0.2), IMAGE)],
    "Conv1DTranspose": [(lambda: L.Conv1DTranspose(3, 3, 2, "same"), SEQUENCE)],
    "Conv2DTranspose": [(lambda size=size, stride=stride, padding=padding: L.Conv2DTranspose(4, size, stride, padding), IMAGE) for size, stride, padding in ((2, 3, "same"), (2, 3, "valid"), (2, 2, "same"), (3, 2, "same"), (3, 2, "valid"), (3, 1, "same"))] + [(lambda: L.Conv2DTranspose(4, 3, 2, "same", output_padding=1), IMAGE)],
    "Conv3DTranspose": [(lambda: L.Conv3DTranspose(3, 2, 2), VOLUME)],
    "Cropping1D": [(lambda: L.Cropping1D((1, 2)), SEQUENCE)],
    "Cropping2D": [(lambda: L.Cropping2D(((1, 2), (0, 3))), IMAGE)],
    "Cropping3D": [(lambda: L.Cropping3D(1), VOLUME)],
    "Dense": [(lambda: L.Dense(3, activation="gelu", bias_initializer="random_normal"), ROWS), (lambda: L.Dense(3), SEQUENCE)],
    "DepthwiseConv1D": [(lambda: L.DepthwiseConv1D(3, depth_multiplier=2), SEQUENCE)],
    "DepthwiseConv2D": [(lambda: L.DepthwiseConv2D(3, 2, "same", depth_multiplier=2, bias_initializer="random_normal"), IMAGE)],
    "Dropout": [(lambda: L.Dropout(0.5), ROWS)],
    "ELU": [(lambda: L.ELU(0.5), ROWS)],
    "EinsumDense": [(lambda: L.EinsumDense("abc,cd->abd", (None, 3), bias_axes="d"), SEQUENCE)],
    "Flatten": [(lambda: L.Flatten(), IMAGE)],
    "GRU": [(lambda: L.GRU(3, return_sequences=True), (None, 4)), (lambda: L.GRU(3, activation="gelu"), (None, 4)), (lambda: L.GRU(3, reset_after=False, go_backwards=True), SEQUENCE)],
    "GaussianDropout": [(lambda: L.GaussianDropout(0.5), ROWS)],
    "GaussianNoise": [(lambda: L.GaussianNoise(0.5), ROWS)],
    "GlobalAveragePooling1D": [(lambda: L.GlobalAveragePooling1D(), (None, 4))],
    "GlobalAveragePooling2D": [(lambda: L.GlobalAveragePooling2D(keepdims=True), IMAGE)],
    "GlobalAveragePooling3D": [(lambda: L.GlobalAveragePooling3D(), VOLUME)],
    "GlobalMaxPooling1D": [(lambda: L.GlobalMaxPooling1D(), SEQUENCE)],
    "GlobalMaxPooling2D": [(lambda: L.GlobalMaxPooling2D(), IMAGE)],
    "GlobalMaxPooling3D": [(lambda: L.GlobalMaxPooling3D(), VOLUME)],
    "GroupNormalization": [(lambda: L.GroupNormalization(2), SEQUENCE)],
    "Identity": [(lambda: L.Identity(), ROWS)],
    "LSTM": [(lambda: L.LSTM(3, return_sequences=True, go_backwards=True), (None, 4)), (lambda: L.LSTM(3, recurrent_activation="hard_sigmoid"), SEQUENCE)],
    "LayerNormalization": [(lambda: L.LayerNormalization(), SEQUENCE), (lambda: L.LayerNormalization(axis=1), SEQUENCE), (lambda: L.LayerNormalization(axis=[1, 2], center=False), SEQUENCE)],
    "LeakyReLU": [(lambda: L.LeakyReLU(0.3), ROWS)],
    "MaxPooling1D": [(lambda: L.MaxPooling1D(2), SEQUENCE)],
    "MaxPooling2D": [(lambda: L.MaxPooling2D(3, 2, "same"), (None, None, 3))],
    "MaxPooling3D": [(lambda: L.MaxPooling3D(2), VOLUME)],
    "Normalization": [(lambda: L.Normalization(mean=[1.0, 2, 3], variance=[1.0, 4, 9]), IMAGE), (lambda: L.Normalization(mean=3.0, variance=2.0, axis=None, invert=True), ROWS)],
    "PReLU": [(lambda: L.PReLU("random_normal", shared_axes=[1]), SEQUENCE)],
    "Permute": [(lambda: L.Permute((2, 1)), SEQUENCE)],
    "RMSNormalization": [(lambda: L.RMSNormalization(), SEQUENCE)],
    "ReLU": [(lambda: L.ReLU(2.0, 0.1, 0.5), ROWS), (lambda: L.ReLU(6.0), ROWS)],
    "RepeatVector": [(lambda: L.RepeatVector(3), ROWS)],
    "Rescaling": [(lambda: L.Rescaling([1.0, 2, 3], offset=0.5), IMAGE)],
    "Reshape": [(lambda: L.Reshape((8, -1)), SEQUENCE)],
    "SeparableConv1D": [(lambda: L.SeparableConv1D(3, 3), SEQUENCE)],
    "SeparableConv2D": [(lambda: L.SeparableConv2D(3, 3, 2, "same", activation="relu"), IMAGE)],
    "SimpleRNN": [(lambda: L.SimpleRNN(3, activation="relu"), (None, 4))],
    "Softmax": [(lambda: L.Softmax(1), SEQUENCE)],
    "SpatialDropout1D": [(lambda: L.SpatialDropout1D(0.5), SEQUENCE)],
    "SpatialDropout2D": [(lambda: L.SpatialDropout2D(0.5), IMAGE)],
    "SpatialDropout3D": [(lambda: L.SpatialDropout3D(0.5), VOLUME)],
    "TimeDistributed": [(lambda: L.TimeDistributed(L.Dense(3)), (None, 4))],
    "UnitNormalization": [(lambda: L.UnitNormalization(), SEQUENCE)],
    "UpSampling1D": [(lambda: L.UpSampling1D(2), SEQUENCE)],
    "Discretization": [(lambda: L.Discretization([-0.5, 0.0, 0.7]), ROWS), (lambda: L.Discretization([0.0, 1.0], output_mode="multi_hot"), ROWS)],
    "CategoryEncoding": [(lambda mode=mode: L.CategoryEncoding(10, mode), "int") for mode in ("multi_hot", "count")],
    "IntegerLookup": [(lambda: L.IntegerLookup(vocabulary=[3, 1, 7]), "int")],
    "CenterCrop": [(lambda: L.CenterCrop(4, 5), IMAGE)],
    "Resizing": [(lambda how=how: L.Resizing(5, 13, how), IMAGE) for how in ("bilinear", "nearest", "bicubic")],
    "UpSampling2D": [(lambda: L.UpSampling2D(2), IMAGE), (lambda: L.UpSampling2D((2, 3), interpolation="bilinear"), IMAGE)],
    "UpSampling3D": [(lambda: L.UpSampling3D(2), VOLUME)],
    "Masking": [(lambda: L.Masking(), SEQUENCE)],
    "Lambda": [(lambda: L.Lambda(lambda x: keras.ops.square(x) + 1, output_shape=SEQUENCE), SEQUENCE)],
    "ReversibleEmbedding": [(lambda: L.ReversibleEmbedding(10, 4), "int")],
    "SpectralNormalization": [(lambda: L.SpectralNormalization(L.Dense(3)), ROWS)],
    **{name: [(getattr(L, name), IMAGE)] for name in ("RandomGrayscale", "RandomInvert") if hasattr(L, name)},
    **{name: [(lambda name=name: getattr(L, name)(0.2), IMAGE)] for name in ("RandomBrightness", "RandomContrast", "RandomRotation", "RandomZoom", "RandomHue", "RandomSaturation", "RandomSharpness", "RandomShear", "RandomErasing", "RandomGaussianBlur", "RandomPerspective")},
    "RandomPosterization": [(lambda: L.RandomPosterization(3), IMAGE)],
    "RandomFlip": [(lambda: L.RandomFlip(), IMAGE)],
    "RandomTranslation": [(lambda: L.RandomTranslation(0.2, 0.2), IMAGE)],
    "ZeroPadding1D": [(lambda: L.ZeroPadding1D((1, 2)), SEQUENCE)],
    "ZeroPadding2D": [(lambda: L.ZeroPadding2D(((1, 2), (0, 3))), IMAGE)],
    "ZeroPadding3D": [(lambda: L.ZeroPadding3D(1), VOLUME)],
}  # fmt: skip
"""Layers of one input: makers, and the shape of the input."""

MERGING: dict[str, Callable[[], Any]] = {name: getattr(L, name) for name in ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")}


def converted(model: Any) -> onward.Model:
    """The model with its certificate; valid for others too."""
    made = onward.convert(model)
    onward.check(made)
    return made


CASES = [pytest.param(maker, shape, id=f"{name}-{place}") for name, cases in SINGLE.items() for place, (maker, shape) in enumerate(cases)]


@pytest.mark.parametrize(("maker", "shape"), CASES)
def test_layer(maker: Callable[[], Any], shape: Any) -> None:
    keras.utils.set_random_seed(3)
    given = keras.Input((4,), dtype="int32") if shape == "int" else keras.Input(shape)
    certificate = Certificate.of(converted(keras.Sequential([given, maker()])))
    assert certificate is not None and len(certificate.shapes) >= 5


@pytest.mark.parametrize("name", MERGING)
def test_merging_layer(name: str) -> None:
    inputs = [keras.Input(SEQUENCE, name=letter) for letter in "ab"]
    made = converted(keras.Model(inputs, MERGING[name]()(inputs)))
    assert [value.name for value in made.graph.inputs] == ["a", "b"]


@pytest.mark.parametrize("name", ["Attention", "AdditiveAttention", "GroupQueryAttention", "Dot"])
def test_layers_of_two_inputs(name: str) -> None:
    inputs = [keras.Input((5, 8), name="a"), keras.Input((5, 8), name="b")]
    layer = {"GroupQueryAttention": lambda: L.GroupQueryAttention(4, 4, 2), "Dot": lambda: L.Dot(2)}.get(name, getattr(L, name))()
    converted(keras.Model(inputs, layer(*inputs) if name == "GroupQueryAttention" else layer(inputs)))


@pytest.mark.parametrize("causal", [False, True])
def test_attention_of_several_heads(causal: bool) -> None:
    x, memory = keras.Input((None, 8), name="x"), keras.Input((None, 8), name="memory")
    made = converted(keras.Model([x, memory], L.MultiHeadAttention(2, 4)(x, x, use_causal_mask=causal)))
    assert any(node.op_type == "Attention" for node in made.graph.nodes)


def test_a_mask_reaches_attention() -> None:
    words = keras.Input((None,), dtype="int32")
    x = L.Embedding(10, 8, mask_zero=True)(words)
    converted(keras.Model(words, L.MultiHeadAttention(2, 4)(x, x)))


@pytest.mark.parametrize("maker", [
    lambda: [L.LSTM(3, return_sequences=True), L.GRU(2)],
    lambda: [L.Bidirectional(L.LSTM(3, return_sequences=True)), L.Bidirectional(L.GRU(2))],
    lambda: [L.SimpleRNN(3, return_sequences=True, go_backwards=True, zero_output_for_mask=True)],
    lambda: [L.RNN(L.StackedRNNCells([L.LSTMCell(3), L.GRUCell(5)]))],
])  # fmt: skip
def test_a_mask_reaches_recurrent_layers(maker: Any) -> None:
    keras.utils.set_random_seed(3)
    converted(keras.Sequential([keras.Input((None,), dtype="int32"), L.Embedding(4, 4, mask_zero=True), *maker()]))


@pytest.mark.parametrize("how", [{"antialias": True}, {"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True}], ids=str)
def test_resizing_through_jax(how: dict[str, bool]) -> None:
    pytest.importorskip("jax")
    converted(keras.Sequential([keras.Input(IMAGE), L.Resizing(5, 4, **how)]))


def test_stateful_layers_begin_at_zero() -> None:
    x = keras.Input(batch_shape=(2, 6, 4))
    y = L.GRU(2, stateful=True)(L.Bidirectional(L.LSTM(3, return_sequences=True, stateful=True))(x))
    certificate = Certificate.of(converted(keras.Model(x, y)))
    assert certificate is not None and sum("begin at zero" in note for note in certificate.notes) >= 2


def test_a_class_that_keeps_the_call_of_a_layer() -> None:
    made = converted(keras.Sequential([keras.Input(SEQUENCE), Kept(3)]))
    assert "LSTM" in {node.op_type for node in made.graph.nodes}


def test_states_are_outputs() -> None:
    x = keras.Input((None, 4))
    y, h, c = L.LSTM(3, return_sequences=True, return_state=True)(x)
    z = L.LSTM(3)(y, initial_state=[h, c])
    made = converted(keras.Model(x, [y, h, c, z]))
    assert len(made.graph.outputs) == 4


def test_a_shared_layer_has_its_weights_once() -> None:
    x = keras.Input(ROWS)
    dense = L.Dense(5, name="shared")
    made = converted(keras.Model(x, dense(dense(x))))
    assert sorted(made.graph.initializers) == ["shared/bias", "shared/kernel"]
    assert {node.metadata["onward.module"] for node in made.graph.nodes if node.op_type == "MatMul"} == {"shared"}


def test_models_in_a_model_are_called_more_than_once() -> None:
    x = keras.Input(ROWS)
    inner = keras.Sequential([keras.Input(ROWS), L.Dense(5, activation="tanh"), keras.Sequential([L.Dense(5)])])
    converted(keras.Model(x, L.Concatenate()([inner(x), inner(inner(x))])))


def test_layers_and_models_of_ones_own() -> None:
    class Block(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.outer = Root(), L.Dense(2)

        def call(self, x: Any, training: bool = False) -> Any:
            return self.outer(L.Dropout(0.5)(self.inner(x), training=training))

    onward.check(onward.convert(Block(), np.ones((2, 5), np.float32)))


def test_everything_without_a_translation_is_named_at_once() -> None:
    class Own(L.Layer):
        def call(self, x: Any) -> Any:
            return keras.ops.nonzero(x)[0]

    model = keras.Sequential([keras.Input((4, 4)), Own(name="first")])
    model = keras.Model(model.inputs, [model.outputs[0], Own(name="second")(model.inputs[0])])
    with pytest.raises(UnsupportedOperator, match=r"(?s)^2 parts.*Nonzero in .*second.*Nonzero in .*first"):
        onward.convert(model)


def test_a_model_that_is_not_built_says_what_to_do() -> None:
    with pytest.raises(onward.errors.InvalidArgument, match="example_inputs"):
        onward.convert(L.Dense(3))


def test_a_file(tmp_path: Any) -> None:
    keras.Sequential([keras.Input(ROWS), L.Dense(3)]).save(tmp_path / "model.keras")
    model = onward.convert(tmp_path / "model.keras")
    assert onward.converters.verify(model, tmp_path / "model.keras").differences


@pytest.mark.parametrize("policy", ["float64", "float16", "bfloat16", "mixed_float16"])
def test_other_precisions(policy: str) -> None:
    converted(keras.Sequential([keras.Input(ROWS), L.Dense(4, activation="relu", dtype=policy), L.LayerNormalization(dtype=policy)]))


def test_a_network_of_images_keeps_one_transposition_at_its_edge() -> None:
    x = inputs = keras.Input((None, None, 3))
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(8, 3, 2, "same")(L.Rescaling(2.0)(x))))
    for _ in range(2):
        inner = L.Activation("silu")(L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same")(x)))
        squeezed = L.Conv2D(8, 1, activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(inner))
        x = L.Add()([x, L.Conv2D(8, 1)(L.Multiply()([inner, squeezed]))])
        x = L.Conv2D(8, 1)(L.Concatenate()([x, L.MaxPooling2D(3, 1, "same")(L.ZeroPadding2D(1)(x))[:, 1:-1, 1:-1]]))
    model = keras.Model(inputs, L.Dense(3)(L.GlobalAveragePooling2D()(x)))
    moved = [node for node in converted(model).graph.nodes if node.op_type == "Transpose"]
    assert len(moved) == 1


def test_for_onnxruntime() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    x = inputs = keras.Input((12, 12, 3))
    x = L.Conv2D(4, 3, activation="relu")(x)
    x = L.Reshape((25, 16))(x)
    x = L.LSTM(6, return_sequences=True)(x)
    x = L.LayerNormalization()(x)
    model = keras.Model(inputs, L.Dense(3, activation="softmax")(L.Flatten()(x)))
    data = np.random.default_rng(2).standard_normal((2, 12, 12, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(onward.convert(model).to_bytes())
    (found,) = session.run(None, {session.get_inputs()[0].name: data})
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(model(data)), rtol=1e-4, atol=1e-5)


def test_layers_without_a_test_are_known() -> None:
    """What is left out, by reason."""
    every = {name for name, item in vars(L).items() if inspect.isclass(item) and issubclass(item, L.Layer)}
    tried = (
        set(SINGLE)
        | set(MERGING)
        | ABSTRACT
        | {"Attention", "AdditiveAttention", "GroupQueryAttention", "Dot", "MultiHeadAttention", "Embedding", "InputLayer"}
    )
    aliases = {name for name in every if getattr(L, name).__name__ in tried}
    assert every - tried - aliases == set().union(*LEFT_OUT.values()), sorted(every - tried - aliases)


LEFT_OUT = {
    "it needs TensorFlow beneath it: see test_text.py": {"StringLookup", "TextVectorization", "HashedCrossing", "Hashing"},
    "it is a SavedModel: convert that": {"TFSMLayer"},
    "it is a function of another framework: see test_through_jax.py": {"FlaxLayer", "JaxLayer", "TorchModuleWrapper"},
    "Keras 3.15 does not build it on symbolic tensors": {"Equalization"},
    "it takes boxes": {"MaxNumBoundingBoxes"},
}


def test_double_precision_is_double() -> None:
    from onward.converters.keras.objects.reference import Source

    inputs = keras.Input(ROWS)
    model = keras.Model(inputs, L.LayerNormalization()(L.Dense(3, activation="gelu")(inputs)))
    source = Source(model, [inputs], inputs, ["x"], ["y"], None)
    feeds = {"x": np.random.default_rng(1).standard_normal((4, 5)).astype(np.float32)}
    exact, plain = source.exactly(feeds), source.outputs(feeds)
    assert exact is not None and plain is not None and exact["y"].dtype == np.float64
    assert 0 < np.abs(exact["y"] - plain["y"]).max() < 1e-5

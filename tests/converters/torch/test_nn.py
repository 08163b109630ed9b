"""Every class of torch.nn with a forward: PyTorch's own database of modules, and those that it lacks."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

pytest.importorskip("expecttest")

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db

import onward

REFUSED = {
    "FractionalMaxPool2d": "draws its windows at random", "FractionalMaxPool3d": "draws its windows at random",
    "GaussianNLLLoss": "a condition on data, which PyTorch does not capture", "CTCLoss": "PyTorch does not capture it",
    "LinearCrossEntropyLoss": "an operator of PyTorch without a translation",
    "DataParallel": "a wrapper for several devices", "SyncBatchNorm": "a layer for several processes",
    "CrossMapLRN2d": "an autograd function of old, which PyTorch does not capture", "Module": "has no forward of its own",
}  # fmt: skip
X, IMAGE = (2, 4), (2, 4, 6, 6)
OTHERS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "AdaptiveLogSoftmaxWithLoss": (lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 10, [3, 6]).log_prob, ()),
    "AlphaDropout": (nn.AlphaDropout, (X,)), "FeatureAlphaDropout": (nn.FeatureAlphaDropout, (IMAGE,)),
    "ChannelShuffle": (lambda: nn.ChannelShuffle(2), (IMAGE,)), "CosineSimilarity": (nn.CosineSimilarity, (X, X)),
    "Dropout": (nn.Dropout, (X,)), "Dropout1d": (nn.Dropout1d, ((2, 3, 4),)), "Dropout2d": (nn.Dropout2d, (IMAGE,)),
    "Dropout3d": (nn.Dropout3d, ((1, 2, 3, 4, 5),)), "Flatten": (nn.Flatten, (IMAGE,)), "Hardsigmoid": (nn.Hardsigmoid, (X,)),
    "Fold": (lambda: nn.Fold((4, 5), (2, 2)), ((2, 8, 12),)), "Identity": (nn.Identity, (X,)), "LazyLinear": (lambda: nn.LazyLinear(3), (X,)),
    "LazyBatchNorm1d": (nn.LazyBatchNorm1d, (X,)), "LazyBatchNorm2d": (nn.LazyBatchNorm2d, (IMAGE,)),
    "LazyBatchNorm3d": (nn.LazyBatchNorm3d, ((1, 2, 3, 4, 5),)), "LazyInstanceNorm1d": (nn.LazyInstanceNorm1d, ((2, 3, 4),)),
    "LazyInstanceNorm2d": (nn.LazyInstanceNorm2d, (IMAGE,)), "LazyInstanceNorm3d": (nn.LazyInstanceNorm3d, ((1, 2, 3, 4, 5),)),
    "NLLLoss2d": (lambda: nn.NLLLoss(), (IMAGE, torch.randint(0, 4, (2, 6, 6)))), "PairwiseDistance": (nn.PairwiseDistance, (X, X)),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), (IMAGE,)), "PixelUnshuffle": (lambda: nn.PixelUnshuffle(2), (IMAGE,)),
    "RReLU": (nn.RReLU, (X,)), "Sequential": (lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU()), (X,)),
    "TransformerDecoder": (lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8), 2), ((3, 2, 4), (5, 2, 4))),
    "TripletMarginLoss": (nn.TripletMarginLoss, (X, X, X)), "TripletMarginWithDistanceLoss": (nn.TripletMarginWithDistanceLoss, (X, X, X)),
    "Unflatten": (lambda: nn.Unflatten(1, (2, 2)), (X,)), "Unfold": (lambda: nn.Unfold((2, 3)), (IMAGE,)),
    "Upsample": (lambda: nn.Upsample(scale_factor=2, mode="bicubic"), (IMAGE,)), "UpsamplingBilinear2d": (lambda: nn.UpsamplingBilinear2d((9, 7)), (IMAGE,)),
    "UpsamplingNearest2d": (lambda: nn.UpsamplingNearest2d(scale_factor=2), (IMAGE,)),
    "EmbeddingBag": (lambda: nn.EmbeddingBag(10, 4, mode="mean"), (torch.randint(0, 10, (9,)), torch.tensor([0, 4, 4]))),
}  # fmt: skip


class Unpooled(nn.Module):
    """Pools and puts the elements back."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.pool = getattr(nn, f"MaxPool{rank}d")(2, return_indices=True)
        self.unpool = getattr(nn, f"MaxUnpool{rank}d")(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.unpool(*self.pool(x))


for _rank in (1, 2, 3):
    OTHERS[f"MaxUnpool{_rank}d"] = (lambda rank=_rank: Unpooled(rank), ((2, 3, *[4] * _rank),))


class Bound(nn.Module):
    """A method as a module."""

    def __init__(self, method: Any) -> None:
        super().__init__()
        self.owner, self.name = method.__self__, method.__name__

    def forward(self, *tensors: torch.Tensor) -> Any:
        return getattr(self.owner, self.name)(*tensors)


OTHERS["AdaptiveLogSoftmaxWithLoss"] = (lambda: Bound(nn.AdaptiveLogSoftmaxWithLoss(4, 10, [3, 6]).log_prob), (X,))
DATABASE = {info.module_cls.__name__: info for info in module_db}
CLASSES = [name for name, kind in vars(nn).items() if inspect.isclass(kind) and issubclass(kind, nn.Module) and kind.forward is not nn.Module.forward]


def test_every_class_is_tried() -> None:
    assert [name for name in CLASSES if name not in DATABASE and name not in OTHERS and name not in REFUSED] == []


@pytest.mark.parametrize("name", [name for name in CLASSES if name in OTHERS])
def test_classes(name: str) -> None:
    torch.manual_seed(0)
    maker, given = OTHERS[name]
    tensors = tuple(item if isinstance(item, torch.Tensor) else torch.randn(item) for item in given)
    module = maker().eval()
    if name.startswith("Lazy"):
        module(*tensors)
    onward.convert(module, tensors, dynamic_shapes={})


@pytest.mark.models
@pytest.mark.parametrize("name", [name for name in DATABASE if name in CLASSES and name not in REFUSED])
def test_classes_of_the_database(name: str) -> None:
    torch.manual_seed(0)
    info: Any = DATABASE[name]
    made = list(info.module_inputs_func(info, "cpu", torch.float32, False, False))
    for place in sorted({0, len(made) // 2, len(made) - 1}):
        how, call = made[place].constructor_input, made[place].forward_input
        module = info.module_cls(*how.args, **how.kwargs).eval()
        arguments, keywords = tuple(call.args), dict(call.kwargs)
        if keywords:
            keywords = dict(zip(inspect.signature(module.forward).parameters, arguments)) | keywords
        onward.convert(module, keywords or arguments, dynamic_shapes={})


FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "conv_tbc": (F.conv_tbc, ((5, 2, 3), (3, 3, 4), (4,))), "lp_pool1d": (lambda x: F.lp_pool1d(x, 2, 3), ((2, 3, 9),)),
    "lp_pool2d": (lambda x: F.lp_pool2d(x, 2, 2), (IMAGE,)), "lp_pool3d": (lambda x: F.lp_pool3d(x, 2, 2), ((1, 2, 4, 4, 4),)),
    "max_pool1d_with_indices": (lambda x: F.max_pool1d(x, 2, return_indices=True), ((2, 3, 9),)),
    "max_pool2d_with_indices": (lambda x: F.max_pool2d(x, 2, return_indices=True), (IMAGE,)),
    "max_pool3d_with_indices": (lambda x: F.max_pool3d(x, 2, return_indices=True), ((1, 2, 4, 4, 4),)),
    "adaptive_max_pool1d_with_indices": (lambda x: F.adaptive_max_pool1d(x, 3, True), ((2, 3, 9),)),
    "adaptive_max_pool2d_with_indices": (lambda x: F.adaptive_max_pool2d(x, 3, True), (IMAGE,)),
    "adaptive_max_pool3d_with_indices": (lambda x: F.adaptive_max_pool3d(x, 2, True), ((1, 2, 4, 4, 5),)),
    "dropout1d": (lambda x: F.dropout1d(x, training=False), ((2, 3, 9),)), "gumbel_softmax": (F.gumbel_softmax, (X,)),
    "native_channel_shuffle": (lambda x: F.native_channel_shuffle(x, 2), (IMAGE,)), "upsample": (lambda x: F.upsample(x, scale_factor=2), (IMAGE,)),
    "affine_grid": (lambda x: F.affine_grid(x, [2, 3, 4, 5], align_corners=False), ((2, 2, 3),)),
    "fold": (lambda x: F.fold(x, (4, 5), (2, 2)), ((2, 8, 12),)), "threshold_": (lambda x: F.threshold_(x.clone(), 0.1, 0.5), (X,)),
    "rrelu_": (lambda x: F.rrelu_(x.clone(), training=False), (X,)),
}  # fmt: skip
for _name in ("relu_", "hardtanh_", "elu_", "selu_", "celu_", "leaky_relu_"):
    FUNCTIONS[_name] = (lambda x, name=_name: getattr(F, name)(x.clone()), (X,))
REFUSED_FUNCTIONS = {
    "grouped_mm": "no translation", "scaled_mm": "narrow numbers of accelerators", "scaled_grouped_mm": "narrow numbers of accelerators",
    "fractional_max_pool2d_with_indices": "draws its windows at random", "fractional_max_pool3d_with_indices": "draws its windows at random",
    "boolean_dispatch": "no function of numbers", "handle_torch_function": "no function of numbers", "assert_int_or_pair": "no function of numbers",
    "has_torch_function": "no function of numbers", "has_torch_function_unary": "no function of numbers",
    "has_torch_function_variadic": "no function of numbers",
}  # fmt: skip


class Function(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: torch.Tensor) -> Any:
        return self.function(*tensors)


def test_every_function_is_tried() -> None:
    """In the test of the operator database, which has most of them, or here."""
    known = {operator.name for operator in op_db} | {alias.name for operator in op_db for alias in operator.aliases}
    functions = [
        name for name, item in vars(F).items()
        if callable(item) and not name.startswith("_") and not inspect.isclass(item) and str(getattr(item, "__module__", "")).startswith("torch")
    ]  # fmt: skip
    missing = [name for name in functions if name not in known and f"nn.functional.{name}" not in known]
    assert [name for name in missing if name not in FUNCTIONS and name not in REFUSED_FUNCTIONS] == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    torch.manual_seed(0)
    function, shapes = FUNCTIONS[name]
    onward.convert(Function(function), tuple(torch.randn(shape) for shape in shapes), dynamic_shapes={})

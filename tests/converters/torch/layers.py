"""The classes and functions of torch.nn, each with an example: PyTorch's own databases, and what they lack."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.testing._internal.common_modules import module_db

from tests.converters.torch.operator_database import OPERATORS, samples

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
    "CTCLoss": (nn.CTCLoss, (torch.rand(9, 2, 5).log_softmax(2), torch.randint(1, 5, (2, 3)), torch.tensor([9, 7]), torch.tensor([3, 2]))),
    "CrossMapLRN2d": (lambda: nn.CrossMapLRN2d(3), (IMAGE,)), "SyncBatchNorm": (lambda: nn.SyncBatchNorm(4), (IMAGE,)),
    "DataParallel": (lambda: nn.DataParallel(nn.Linear(4, 3)), (X,)),
    "FractionalMaxPool2d": (lambda: nn.FractionalMaxPool2d(2, 3, _random_samples=torch.rand(2, 4, 2)), (IMAGE,)),
    "FractionalMaxPool3d": (lambda: nn.FractionalMaxPool3d(2, 3, _random_samples=torch.rand(2, 2, 3)), ((2, 2, 6, 6, 7),)),
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


def from_database(name: str, *parts: float) -> Iterator[tuple[nn.Module, Any]]:
    """Modules of a class and what they are called with; `parts` of the way through PyTorch's samples."""
    info: Any = DATABASE[name]
    made = list(info.module_inputs_func(info, "cpu", torch.float32, False, False))
    for place in sorted({int(part * (len(made) - 1)) for part in parts}):
        how, call = made[place].constructor_input, made[place].forward_input
        module = info.module_cls(*how.args, **how.kwargs).eval()
        arguments, keywords = tuple(call.args), dict(call.kwargs)
        if keywords:
            keywords = dict(zip(inspect.signature(module.forward).parameters, arguments)) | keywords
        if name.startswith("Lazy"):
            module(*arguments, **keywords)
        yield module, keywords or arguments


def from_table(name: str) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """A module of a class that the database lacks, and what it is called with."""
    maker, given = OTHERS[name]
    tensors = tuple(item if isinstance(item, torch.Tensor) else torch.randn(item) for item in given)
    module = maker().eval()
    if name.startswith("Lazy"):
        module(*tensors)
    return module, tensors


def _grouped(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The rows of two groups."""
    return F.grouped_mm(x.bfloat16(), y.bfloat16(), offs=torch.cat([torch.tensor([3]), torch.full((1,), x.shape[0])]).int())


def _scaled(x: torch.Tensor, y: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    by_row, narrow = F.ScalingType.RowWise, torch.float8_e4m3fn
    return F.scaled_mm(x.to(narrow), y.to(narrow).t(), rows, by_row, columns, by_row)


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
    "feature_alpha_dropout": (lambda x: F.feature_alpha_dropout(x, training=False), (IMAGE,)), "softmax": (lambda x: F.softmax(x, 1), (X,)),
    "log_softmax": (lambda x: F.log_softmax(x, 1), (X,)), "tanh": (F.tanh, (X,)), "sigmoid": (F.sigmoid, (X,)),
    "interpolate": (lambda x: F.interpolate(x, scale_factor=1.5, mode="bicubic"), (IMAGE,)), "pad": (lambda x: F.pad(x, (1, 2, -1, 0)), (IMAGE,)),
    "one_hot": (lambda x: F.one_hot(x, 5), (torch.randint(0, 5, (2, 3)),)),
    "fractional_max_pool2d_with_indices": (lambda x, samples: F.fractional_max_pool2d_with_indices(x, 2, 3, None, True, samples), (IMAGE, torch.rand(2, 4, 2))),
    "fractional_max_pool3d_with_indices": (
        lambda x, samples: F.fractional_max_pool3d_with_indices(x, 2, 3, None, True, samples), ((2, 2, 6, 6, 7), torch.rand(2, 2, 3))),
    "ctc_loss": (lambda x: F.ctc_loss(x.log_softmax(2), torch.tensor([[1, 2, 2], [3, 1, 1]]), (9, 7), (3, 2), reduction="none"), ((9, 2, 5),)),
    "grouped_mm": (_grouped, ((16, 8), (2, 8, 16))),
    "scaled_mm": (_scaled, ((16, 32), (16, 32), torch.rand(16, 1), torch.rand(1, 16))),
    "rrelu_": (lambda x: F.rrelu_(x.clone(), training=False), (X,)),
}  # fmt: skip
for _name in ("relu_", "hardtanh_", "elu_", "selu_", "celu_", "leaky_relu_"):
    FUNCTIONS[_name] = (lambda x, name=_name: getattr(F, name)(x.clone()), (X,))


class Function(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: torch.Tensor) -> Any:
        return self.function(*tensors)


def of_function(name: str) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """A function that the database of operators lacks, and what it is called with."""
    function, given = FUNCTIONS[name]
    return Function(function), tuple(item if isinstance(item, torch.Tensor) else torch.randn(item) for item in given)


NAMES = [
    *(f"nn.{name}" for name in CLASSES if name in DATABASE or name in OTHERS), *(f"F.{name}" for name in FUNCTIONS),
    *(name for name, operator in OPERATORS.items() if name.startswith("nn.functional.") and torch.float32 in operator.dtypes),
]  # fmt: skip


def build(name: str) -> tuple[nn.Module, Any]:
    """The module of a name, and the arguments or keywords to call it with."""
    torch.manual_seed(0)
    space, _, base = name.partition(".")
    if space == "F":
        return of_function(base)
    if name in OPERATORS:
        return next(samples(OPERATORS[name], torch.float32, 1))
    return from_table(base) if base in OTHERS else next(from_database(base, 0))

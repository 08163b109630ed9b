"""Functions that PyTorch itself does not capture, the order of equal elements, and sizes that decide what is computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

import onward
from onward.converters.certificate import Certificate
from tests.converters.torch.test_modules import Function, check, shapes

X = torch.randn(2, 4)
CASES: dict[str, tuple[Any, tuple[torch.Tensor, ...]]] = {
    "allclose and equal": (lambda x: (torch.allclose(x, x + 1e-9), torch.equal(x, x), x.equal(x + 1), torch.equal(x, x[0])), (X,)),
    "narrow": (lambda x, start: (x.narrow(0, start, 2), torch.narrow(x, 1, 1, 2)), (torch.randn(5, 4), torch.tensor(1))),
    "combinations": (lambda x: (torch.combinations(x), torch.combinations(x, 3, True)), (torch.randn(5),)),
    "covariances": (lambda x, f, a: (torch.cov(x), x.cov(fweights=f, aweights=a), torch.corrcoef(x)), (X, torch.tensor([1, 2, 3, 1]), torch.rand(4))),
    "least squares": (lambda x, y: torch.linalg.lstsq(x, y, driver="gelsd").solution, (torch.randn(5, 3), torch.randn(5, 2))),
    "no full rank": (lambda x, y: torch.linalg.lstsq(x, y, driver="gelsd")[::2], (torch.ones(3, 5), torch.randn(3, 2))),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_functions_that_are_replaced(name: str) -> None:
    torch.manual_seed(0)
    function, tensors = CASES[name]
    check(Function(function), *tensors, dynamic_shapes={})
    assert torch.cov.__module__ != "onward.converters.torch.functions"
    assert "cov" not in vars(torch.Tensor)


class Placed(nn.Module):
    """What is made of sizes, written into memory that is turned round, and resized to one row."""

    def forward(self, theta: torch.Tensor, x: torch.Tensor) -> Any:
        grids = [F.affine_grid(theta, x.shape, align_corners=aligned) for aligned in (False, True)]
        steps = torch.linspace(-1, 2, x.shape[3]) + torch.linspace(0.5, 3, steps=x.shape[2])[:, None]
        powers = (x * 0.5 + 2).transpose_(2, 3)
        powers.pow_(x.transpose(2, 3).abs()).floor_divide_(torch.tensor(0.25))
        resized = F.interpolate(x, (1, 5), mode="bilinear"), F.interpolate(x, (x.shape[2] - 1, 7), mode="bilinear")
        return *grids, steps, powers, *resized


def test_sizes_in_grids_and_steps_stay_open() -> None:
    """A number of 1 among the sizes, too: the certificate tries it."""
    model = check(Placed(), torch.randn(2, 2, 3), torch.randn(2, 3, 4, 5))
    assert shapes(model)[1].endswith("x_1, x_2, x_3)")


def test_nothing_may_be_masked() -> None:
    def filled(x: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        chosen = codes > 2
        return x.masked_scatter(chosen[..., None].expand_as(x), codes[chosen].float()[:, None].expand(-1, x.shape[-1]))

    model = check(Function(filled), torch.randn(2, 3, 4), torch.tensor([[1, 2, 5], [1, 4, 0]]))
    none = torch.randn(1, 2, 4), torch.zeros(1, 2, dtype=torch.int64)
    feeds = {value.name: item.numpy() for value, item in zip(model.graph.inputs, none)}
    np.testing.assert_array_equal(onward.InferenceSession(model).run(None, feeds)[0], none[0])


LENGTHS = (torch.tensor([7, 6, 5]), torch.tensor([4, 2, 0]))


@pytest.mark.parametrize(("reduction", "joined"), [("none", False), ("mean", True)])
def test_connectionist_temporal_classification(reduction: str, joined: bool) -> None:
    torch.manual_seed(0)
    probabilities = torch.randn(7, 3, 5).log_softmax(-1)
    targets = torch.randint(1, 5, (6,) if joined else (3, 4))
    model = check(nn.CTCLoss(reduction=reduction, zero_infinity=joined), probabilities, targets, *LENGTHS)
    assert shapes(model)[0] == "(batch, log_probs_1, log_probs_2)"


def test_equal_elements_are_taken_in_their_order() -> None:
    """The conversion tries zeros and ones, all of whose elements are equal."""
    model = check(Function(lambda x: (*x.topk(3), *x.sort(0), *x.kthvalue(2), *x.median(1), *x.mode(0))), torch.randn(4, 6), dynamic_shapes={})
    certificate = Certificate.of(model)
    assert certificate is not None
    assert any("topk, sort, kthvalue, median, mode" in note for note in certificate.notes)


def test_medians_along_open_sizes() -> None:
    model = check(Function(lambda x: (x.median(), *x.median(1), x.median(0, True).values)), torch.randn(3, 4))
    assert shapes(model) == ["(batch, tensors_0_1)"]


def test_elements_in_places() -> None:
    """Of complex numbers too."""

    def written(x: torch.Tensor, y: torch.Tensor) -> Any:
        z = torch.complex(x, -x)
        return (
            torch.diagonal_scatter(x, y, 1), torch.as_strided_scatter(x, y.reshape(2, 2), (2, 2), (5, 1), 2), x.put(torch.tensor([0, -1, 5, 5]), y),
            torch.view_as_real(z.masked_scatter(x > 0, torch.complex(x + 1, x)).put(torch.tensor([1, 2, 3, 0]), torch.complex(y, y), True)),
            z.nonzero(), torch.zeros(()).nonzero(), torch.ones(()).argwhere(), x[:0].repeat(2, 2),
        )  # fmt: skip

    check(Function(written), torch.randn(5, 5), torch.randn(4), dynamic_shapes={})


def test_sizes_of_one_row_may_decide() -> None:
    """PyTorch captures as if an open size were never 1."""
    for function in (lambda x: x.sum(1, keepdim=True).squeeze(), lambda x: x if x.shape[0] == 1 else x.sum(1)):
        assert shapes(onward.convert(Function(function), (torch.randn(3, 4),))) == ["(3, 4)"]
    one = onward.convert(Function(F.conv1d), (torch.randn(1, 4, 9), torch.randn(3, 4, 2)))
    assert shapes(one)[0] == "(batch, tensors_0_1, tensors_0_2)"


@pytest.mark.parametrize("scales", [((), ()), ((16, 1), (1, 16))])
def test_products_of_narrow_numbers(scales: Any) -> None:
    recipe = F.ScalingType.RowWise if scales[0] else F.ScalingType.TensorWise
    left, right = (torch.randn(16, 32).to(torch.float8_e4m3fn) for _ in range(2))
    module = Function(lambda x, y, a, b: F.scaled_mm(x, y.t(), a, recipe, b, recipe))
    onward.convert(module, (left, right, torch.rand(scales[0]) + 1, torch.rand(scales[1]) + 1), dynamic_shapes={})

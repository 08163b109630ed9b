"""Modules as people write them: what follows a detector, masks, structures, buffers, numbers of data in shapes."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

import onward
from onward.converters.certificate import Certificate
from tests.converters.torch.test_modules import check, shapes

if not hasattr(torch.ops.torchvision, "nms"):  # torchvision's operators by their definition, where it is not installed
    _library = torch.library.Library("torchvision", "FRAGMENT")
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.define("roi_align(Tensor x, Tensor rois, float scale, SymInt height, SymInt width, int sampling_ratio, bool aligned) -> Tensor")

    def _nms(boxes: torch.Tensor, scores: torch.Tensor, threshold: float) -> torch.Tensor:
        kept: list[int] = []
        for place in scores.argsort(descending=True, stable=True).tolist():
            shared = [(torch.minimum(boxes[place, 2:], boxes[k, 2:]) - torch.maximum(boxes[place, :2], boxes[k, :2])).clamp(min=0).prod() for k in kept]
            areas = [(box[2:] - box[:2]).prod() for box in boxes]
            if not any(both / (areas[place] + areas[k] - both) > threshold for both, k in zip(shared, kept)):
                kept.append(place)
        return torch.tensor(kept, dtype=torch.int64)

    def _roi_align(x: torch.Tensor, rois: torch.Tensor, scale: float, height: int, width: int, samples: int, aligned: bool) -> torch.Tensor:
        """For boxes inside of the pictures."""
        found = []
        for picture, *corners in rois:
            left, top, right, bottom = (corner * scale - 0.5 * aligned for corner in corners)
            steps = [(torch.arange(count * samples) + 0.5) / (count * samples) for count in (height, width)]
            rows, columns = top + (bottom - top) * steps[0], left + (right - left) * steps[1]
            grid = torch.stack(torch.meshgrid(columns / (x.shape[3] - 1), rows / (x.shape[2] - 1), indexing="xy"), -1) * 2 - 1
            found.append(F.avg_pool2d(F.grid_sample(x[int(picture)][None], grid[None], align_corners=True), samples))
        return torch.cat(found)

    _library.impl("nms", _nms, "CPU")
    _library.impl("roi_align", _roi_align, "CPU")
    torch.library.register_fake("torchvision::nms", lambda boxes, *others: boxes.new_empty(torch.library.get_ctx().new_dynamic_size(), dtype=torch.int64))
    torch.library.register_fake("torchvision::roi_align", lambda x, rois, _, height, width, *others: x.new_empty(rois.shape[0], x.shape[1], height, width))


class Detections(nn.Module):
    """Boxes of likely classes without those that overlap, for each class on its own, and what the picture has in them."""

    def forward(self, picture: torch.Tensor, boxes: torch.Tensor, logits: torch.Tensor) -> dict[str, torch.Tensor]:
        corners = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:].abs()], 1).clamp(1, 31)
        scores, labels = logits.sigmoid().max(1)
        likely = scores > 0.3
        corners, scores, labels = corners[likely], scores[likely], labels[likely]
        kept = torch.ops.torchvision.nms(corners + 100.0 * labels[:, None], scores, 0.4)
        rows = torch.cat([torch.zeros(kept.shape[0], 1), corners[kept]], 1)
        return {"boxes": corners[kept], "labels": labels[kept], "inside": torch.ops.torchvision.roi_align(picture, rows, 0.5, 3, 2, 2, True)}


def test_what_follows_a_detector() -> None:
    torch.manual_seed(1)
    boxes = torch.rand(12, 4) * 12 + 2
    shape = (None, {0: "boxes"}, {0: "boxes"})
    model = check(Detections(), torch.randn(1, 2, 16, 16), boxes, torch.randn(12, 3), dynamic_shapes=shape, opset=21)  # (onnxruntime's RoiAlign)
    assert {"NonMaxSuppression", "RoiAlign"} <= {node.op_type for node in model.graph.nodes}
    assert [value.name for value in model.graph.outputs] == ["boxes_output", "labels", "inside"]


class Answer(NamedTuple):
    logits: torch.Tensor
    rest: Any


class Encoder(nn.Module):
    """Padded tokens, tied weights, results in structures of one's own, some of them nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(30, 8, padding_idx=0)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 1)
        self.head = nn.Linear(8, 30, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> Answer:
        padded = tokens == 0
        hidden = self.encoder(self.embedding(tokens), src_key_padding_mask=padded)
        lengths = (~padded).sum(1)
        last = hidden[torch.arange(tokens.shape[0]), lengths - 1]
        return Answer(self.head(last), {"nothing": None, "pooled": [hidden.masked_fill(padded[..., None], 0).sum(1) / lengths[:, None].clamp(min=1)]})


def test_padded_tokens() -> None:
    """onnxruntime wants a mask with a row for each query."""
    torch.manual_seed(0)
    model = check(Encoder().eval(), torch.tensor([[3, 4, 5, 0, 0], [7, 8, 9, 1, 2]]))
    assert shapes(model) == ["(batch, tokens_1)"]
    assert [value.name for value in model.graph.outputs] == ["logits", "rest_pooled_0"]


class Statistics(nn.Module):
    """Buffers that it writes into, parts of tensors that it writes into, sums by group, counts of what the data hold."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(5))

    def forward(self, x: torch.Tensor, group: torch.Tensor, *, scale: float = 1.0, shift: torch.Tensor | None = None) -> Any:
        self.mean.mul_(0.9).add_(x.mean(0), alpha=0.1)
        y = x.clone()
        y[:, 1:3] -= self.mean[1:3]
        y[x < 0] = 0
        sums = torch.zeros(4, 5).index_add(0, group, y)
        largest = torch.zeros(4, 5).scatter_reduce(0, group[:, None].expand_as(x), x, "amax", include_self=False)
        distinct, places, counts = torch.unique(group, return_inverse=True, return_counts=True)
        return [y * scale if shift is None else y * scale + shift, (sums, largest)], distinct[places], counts.max(), distinct.shape[0]


def test_buffers_and_groups() -> None:
    module, example = Statistics(), {"x": torch.randn(6, 5), "group": torch.tensor([0, 1, 3, 3, 1, 0]), "scale": 2.0, "shift": torch.randn(5)}
    model = onward.convert(module, example)
    assert module.mean.abs().sum() == 0
    assert [value.name for value in model.graph.inputs] == ["x", "group", "shift"]
    certificate = Certificate.of(model)
    assert certificate is not None
    assert any("buffers mean" in note for note in certificate.notes)
    assert any("input 'x' has fixed sizes ['?', 5]" in note for note in certificate.notes)

"""Raw outputs of a detection network -> candidates, without a loop over anchors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agent.errors import ModelError
from agent.infer.model import Tensor
from agent.infer.package import ModelPackage

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """What one or several inferences propose, best score first or in any order."""

    xyxy: Floats  # (N, 4), fractions
    scores: Floats  # (N,), 0..1
    kinds: NDArray[np.intp]  # (N,), places in the decoder's `kinds`

    def only(self, kept: NDArray[np.bool_] | NDArray[np.intp]) -> Candidates:
        """Those of a mask or of a list of places."""
        return Candidates(xyxy=self.xyxy[kept], scores=self.scores[kept], kinds=self.kinds[kept])

    def best(self, most: int) -> Candidates:
        """Those with the highest scores, if there are more than `most`."""
        if len(self.scores) <= most:
            return self
        return self.only(np.argpartition(-self.scores, most)[:most])


def joined(parts: Sequence[Candidates]) -> Candidates:
    """All of them as one."""
    return Candidates(
        xyxy=np.concatenate([part.xyxy for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        kinds=np.concatenate([part.kinds for part in parts]),
    )


class Decoder(Protocol):
    kinds: tuple[str, ...]

    def decode(self, outputs: tuple[Tensor, ...], threshold: float) -> Candidates:
        """Candidates of at least `threshold`, boxes in fractions of the view."""
        ...


def decoder_of(package: ModelPackage) -> Decoder:
    """The decoder that the card names; ModelError when there is no such decoder."""
    if package.decoder == "blazeface":
        return BlazeFaceDecoder(package)
    if package.decoder == "ssd":
        return SsdDecoder(package)
    raise ModelError(f"{package.directory}: decoder {package.decoder} is none of blazeface, ssd")


class BlazeFaceDecoder:
    """BlazeFace full range: one anchor in the middle of each cell of a 48 x 48 grid.

    Bazarevsky et al., BlazeFace (2019); the key points are never decoded.
    """

    def __init__(self, package: ModelPackage) -> None:
        self.kinds = tuple(package.kinds.values())
        cells = round(sqrt(package.outputs[0].shape[1]))
        middle = (np.arange(cells, dtype=np.float32) + np.float32(0.5)) / np.float32(cells)
        self._anchors_xy = np.stack(np.meshgrid(middle, middle), axis=2).reshape(-1, 2)
        self._size_px = np.float32(package.width_px)

    def decode(self, outputs: tuple[Tensor, ...], threshold: float) -> Candidates:
        logits = outputs[1].reshape(-1)
        kept = np.flatnonzero(logits >= _logit(threshold))
        raw = outputs[0][0, kept, :4] / self._size_px
        center = raw[:, :2] + self._anchors_xy[kept]
        half = raw[:, 2:] / 2
        return Candidates(
            xyxy=np.concatenate([center - half, center + half], axis=1),
            scores=_sigmoid(logits[kept]),
            kinds=np.zeros(len(kept), dtype=np.intp),
        )


class SsdDecoder:
    """SSD with box encodings y, x, h, w (scales 10, 10, 5, 5) and one logit a class.

    Liu et al., SSD (2016); anchors as in the TensorFlow Object Detection API.
    """

    def __init__(self, package: ModelPackage) -> None:
        self.kinds = tuple(dict.fromkeys(package.kinds.values()))
        self._columns = np.array([package.labels.index(label) for label in package.kinds])
        self._kind_of_column = np.array([self.kinds.index(k) for k in package.kinds.values()])
        self._anchors = ssd_anchors(package.width_px)

    def decode(self, outputs: tuple[Tensor, ...], threshold: float) -> Candidates:
        logits = outputs[1][0][:, self._columns]
        kept, column = np.nonzero(logits >= _logit(threshold))
        raw, anchor = outputs[0][0, kept], self._anchors[kept]
        center_yx = raw[:, :2] / 10 * anchor[:, 2:] + anchor[:, :2]
        half_yx = np.exp(raw[:, 2:] / 5) * anchor[:, 2:] / 2
        yxyx = np.concatenate([center_yx - half_yx, center_yx + half_yx], axis=1)
        return Candidates(
            xyxy=yxyx[:, [1, 0, 3, 2]],
            scores=_sigmoid(logits[kept, column]),
            kinds=self._kind_of_column[column],
        )


def ssd_anchors(size_px: int) -> Floats:
    """(1917, 4) anchors y, x, h, w in fractions: 6 layers, strides 16 to 512."""
    strides = (16, 32, 64, 128, 256, 512)
    scales = [*np.linspace(0.2, 0.95, len(strides)), 1.0]
    layers = []
    for layer, stride in enumerate(strides):
        scale, following = scales[layer], scales[layer + 1]
        ratios = (1.0, 2.0, 0.5, 3.0, 1 / 3)
        shapes = [(scale / sqrt(ratio), scale * sqrt(ratio)) for ratio in ratios]
        shapes.append((sqrt(scale * following),) * 2)
        if layer == 0:  # the finest layer has three only
            shapes = [(0.1, 0.1), shapes[1], shapes[2]]
        layers.append(_grid_anchors(-(-size_px // stride), shapes))
    return np.concatenate(layers).astype(np.float32)


def _grid_anchors(cells: int, shapes_hw: list[tuple[float, float]]) -> NDArray[np.float64]:
    middle = (np.arange(cells) + 0.5) / cells
    y, x = np.meshgrid(middle, middle, indexing="ij")
    centers = np.stack([y, x], axis=2).reshape(-1, 1, 2).repeat(len(shapes_hw), axis=1)
    sizes = np.broadcast_to(np.array(shapes_hw), centers.shape)
    return np.concatenate([centers, sizes], axis=2).reshape(-1, 4)


def _logit(score: float) -> float:
    return log(score / (1 - score))


def _sigmoid(logits: Floats) -> Floats:
    scores: Floats = np.reciprocal(1 + np.exp(-logits))
    return scores

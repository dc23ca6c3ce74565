"""Turn a published float model into the int8 file of its package, without its original graph.

    python models/recipes/quantise.py face object --data DIR

The float file is fetched by what the card's `[source.float]` pins, made smaller (`slim.py`), and
quantised after training: weights by channel, activations by tensor, ranges from pictures that lie
in DIR. Input and output stay float32. The same pictures give the same file on the same machine.

Tried and left out: bias correction (Nagel et al. 2019) lost 5 points of AP50 on road cameras, float
heads 2, ranges of all pictures or of 97 of 100 up to 4 on persons and vehicles from near.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import tomllib
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils
from ai_edge_quantizer import quantizer, recipe
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from ai_edge_quantizer.qtyping import TFLOperationName
from numpy.typing import NDArray
from slim import Graph, slimmed

MODELS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(MODELS), str(MODELS.parent)]

from fetch import fetch  # noqa: E402 - beside this folder

from agent.capture.pictures import RgbPicture  # noqa: E402
from agent.detect.views import view_of  # noqa: E402
from agent.records import WHOLE, Box  # noqa: E402

Pixels = NDArray[np.uint8]

PICTURES = {
    "face": {"intel_clips": 4, "dlib_faces": 1, "ro_dashcam_plates": 12},
    "object": {"intel_clips": 5, "dlib_faces": 1, "ro_dashcam_plates": 4},
}
"""Folders below DIR with what is calibrated on, and every how many pictures one is taken."""

LIMITS = {r"BoxEncodingPredictor/biases1|BoxPredictor_\d/Reshape$|^concat$|box_encodings": (-8, 8)}
"""One of the object model's 48 box outputs is constant at -80, for which all others lost 3 bits."""

CLASS_HEADS = {"object": r"ClassPredictor/biases1$"}
"""Tensors whose biases give back what int8 takes away from each class on the average: half a tenth
of a logit, enough to keep what scores just above the tracker's threshold from being followed."""
_LIKELY = -2.0  # logits below it, scores under 0.12, mean nothing
_LEAST_SEEN = 1000  # places where a class is likely: with fewer, the mean of all classes is taken

_ZOOMS = (1.0, 1.5, 2.5)  # the whole picture and two tiles of it, as a camera looks


def main() -> None:
    parser = argparse.ArgumentParser(description="Published float model -> int8 TFLite file.")
    parser.add_argument("packages", nargs="+", choices=sorted(PICTURES))
    parser.add_argument("--data", type=Path, required=True, help="folders: intel_clips, ...")
    args = parser.parse_args()
    for name in args.packages:
        quantise(name, args.data)


def quantise(name: str, data: Path) -> None:
    card = tomllib.loads((MODELS / name / "model.toml").read_text(encoding="utf-8"))
    source = card["source"].get("float") or {**card["source"], "sha256": card["sha256"]}
    original = MODELS.parent / ".cache" / "quantise" / f"{name}.tflite"
    fetch(source, original)
    small = slimmed(original)
    size = card["input"]["width_px"], card["input"]["height_px"]
    inputs = [picture.astype(np.float32)[None] / 127.5 - 1 for picture in views(name, data, size)]
    print(
        f"{name}: {len(inputs)} pictures; slim against original: {worst(original, small, inputs)}"
    )
    found = ranges(small, inputs)
    content = as_int8(small, found)
    if name in CLASS_HEADS:
        lift = lost(small, content, inputs)
        print(f"logits come out lower by {', '.join(f'{each:.3f}' for each in lift)}: put back")
        content = as_int8(lifted(small, CLASS_HEADS[name], lift), found)
    content = named(content, [output["name"] for output in card["outputs"]])
    file = MODELS / name / f"{name}.tflite"
    file.write_bytes(content)
    print(f"{file.name}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


def views(name: str, data: Path, size: tuple[int, int]) -> Iterator[Pixels]:
    """What a model sees of each picture, at other lights, from either side, in colour or not."""
    rng = np.random.default_rng(1)
    for folder, step in PICTURES[name].items():
        for pixels in pictures(data / folder, step):
            picture = RgbPicture(np.ascontiguousarray(relit(pixels, rng)))
            for zoom in _ZOOMS:
                side = 1 / zoom
                x, y = rng.uniform(0, 1 - side, 2) if zoom > 1 else (0.0, 0.0)
                box = Box(x0=x, y0=y, x1=x + side, y1=y + side) if zoom > 1 else WHOLE
                aspect = picture.width_px / picture.height_px
                view = view_of(box, picture_aspect=aspect, input_aspect=size[0] / size[1])
                yield picture.rgb(view, *size)


def pictures(folder: Path, step: int) -> Iterator[Pixels]:
    stills = sorted((folder / "images").glob("*.jpg"))[::step]
    for still in stills:
        yield cv2.cvtColor(cv2.imread(str(still)), cv2.COLOR_BGR2RGB)
    for clip in sorted(folder.glob("*.mp4")):
        with av.open(str(clip)) as container:
            frames = container.decode(video=0)
            yield from (f.to_ndarray(format="rgb24") for n, f in enumerate(frames) if n % step == 0)


def relit(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    bright = pixels.astype(np.float32) * rng.uniform(0.5, 1.4) + rng.uniform(-20, 20)
    out = np.clip(bright, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        out = out[:, ::-1]
    if rng.random() < 0.25:  # infrared
        out = np.repeat(out[..., 1:2], 3, axis=2)
    return out


def worst(original: Path, small: bytes, inputs: list[Any]) -> str:
    """The largest difference that slimming makes, each output in its own unit."""
    both = [Run(original.read_bytes()), Run(small)]
    off = [
        [float(np.abs(a - b).max()) for a, b in zip(*(run.outputs(x) for run in both), strict=True)]
        for x in inputs[::20]
    ]
    return ", ".join(f"{value:.2g}" for value in np.max(off, axis=0))


class Run:
    """An interpreter that keeps every tensor of its last run."""

    def __init__(self, content: bytes, *, every: bool = False) -> None:
        self._lite = Interpreter(
            model_content=content, num_threads=2, experimental_preserve_all_tensors=every
        )
        self._lite.allocate_tensors()
        self._image = self._lite.get_input_details()[0]["index"]
        self.tensors = {t["index"]: t for t in self._lite.get_tensor_details()}
        self.operators = [o for o in self._lite._get_ops_details() if o["op_name"] != "DELEGATE"]

    def run(self, image: NDArray[np.float32]) -> None:
        self._lite.set_tensor(self._image, image)
        self._lite.invoke()

    def outputs(self, image: NDArray[np.float32]) -> list[NDArray[Any]]:
        self.run(image)
        return [self._lite.get_tensor(o["index"]) for o in self._lite.get_output_details()]

    def made(self) -> dict[str, NDArray[np.float32]]:
        """What each operation gave and the input, by tensor name, as float32."""
        numbers = [self._image, *(int(op["outputs"][0]) for op in self.operators)]
        return {self.tensors[k]["name"]: self._real(k) for k in numbers}

    def _real(self, number: int) -> NDArray[np.float32]:
        value, tensor = self._lite.get_tensor(number), self.tensors[number]
        if value.dtype == np.int8:
            scale, zero = tensor["quantization"]
            return (value.astype(np.float32) - zero) * np.float32(scale)
        return value


def ranges(small: bytes, inputs: list[Any]) -> dict[str, Mapping[str, NDArray[np.float32]]]:
    """For each tensor the range that holds in 99 of 100 pictures."""
    run, ends = Run(small, every=True), {}
    for image in inputs:
        run.run(image)
        for name, value in run.made().items():
            ends.setdefault(name, []).append((value.min(), value.max()))
    found = {}
    for name, seen in ends.items():
        low, high = np.percentile([a for a, _ in seen], 1), np.percentile([b for _, b in seen], 99)
        for pattern, (least, most) in LIMITS.items():
            if re.search(pattern, name):
                low, high = max(low, least), min(high, most)
        found[name] = {
            "min": np.full((1, 1, 1, 1), low, np.float32),
            "max": np.full((1, 1, 1, 1), high, np.float32),
        }
    return found


def as_int8(small: bytes, found: Mapping[str, Any]) -> bytes:
    work = quantizer.Quantizer(bytearray(small), recipe.static_wi8_ai8())
    for end in (TFLOperationName.INPUT, TFLOperationName.OUTPUT):
        work.update_quantization_recipe(".*", end, None, AlgorithmName.NO_QUANTIZE)
    work._float_model.signatureDefs = []  # a file without any is read as None, which it rejects
    return bytes(work.quantize(dict(found)).quantized_model)


def lost(small: bytes, content: bytes, inputs: list[Any]) -> NDArray[np.float64]:
    """(classes,) how much lower a likely class's logit is in int8; class 0 is not used.

    Likely by the mean of both: by one alone, its errors would count as the other's.
    """
    both = [Run(small), Run(content)]
    real, coarse = (np.array([logits(run, image) for image in inputs]) for run in both)
    likely = (real + coarse) / 2 > _LIKELY
    off, used = real - coarse, np.s_[..., 1:]
    of_all = float(off[used][likely[used]].mean())
    return np.array(
        [
            off[..., k][likely[..., k]].mean()
            if k and likely[..., k].sum() >= _LEAST_SEEN
            else of_all
            for k in range(off.shape[-1])
        ]
    )


def logits(run: Run, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(places, classes); the other output has four columns."""
    return next(each for each in run.outputs(image) if each.shape[-1] > 4)[0]


def lifted(small: bytes, heads: str, lift: NDArray[np.float64]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "small.tflite"
        file.write_bytes(small)
        graph = Graph(file)
    for op in graph.operators:
        if re.search(heads, graph.tensor(op.outputs[0]).name.decode()):
            biases = graph.read(op.inputs[2])
            graph.write(op.inputs[2], biases + np.tile(lift, len(biases) // len(lift)))
    return graph.content()


def named(content: bytes, names: list[str]) -> bytes:
    """The file with its outputs called as the card calls them."""
    graph = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    (main,) = graph.subgraphs
    for index in main.outputs:
        tensor = main.tensors[index]
        tensor.name = next(name for name in names if tensor.name.decode().startswith(name))
    return bytes(flatbuffer_utils.convert_object_to_bytearray(graph))


if __name__ == "__main__":
    main()

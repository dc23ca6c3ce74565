"""Turn a trained checkpoint into the int8 file of a model package.

    python models/recipes/export.py reader /tmp/reader/reader.pt models/plate-text
    python models/recipes/export.py finder /tmp/finder/finder.pt models/plate --data DIR

Weights and activations are int8 (post-training, ranges from drawn samples of their own seed);
input and output stay float32. Prints what the card needs: sha256, size, float against int8 on
drawn samples, and for the reader the temperatures and the calibration error they leave.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import finder_net
import numpy as np
import reader_net
import tensorflow as tf
import train_finder
import train_reader
from numpy.typing import NDArray
from tensorflow.lite.tools import flatbuffer_utils
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from training import set_weights

Outputs = dict[str, NDArray[np.float32]]
Run = Callable[[NDArray[np.float32]], Outputs]

_SAMPLES, _RANGES = 2500, 300


def converted(model: Any, pictures: NDArray[np.uint8], floats: tuple[str, ...] = ()) -> bytes:
    """The int8 TFLite file for one picture at a time; operations in `floats` stay float."""
    one = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, "image")
    call = tf.function(lambda image: model(image, training=False)).get_concrete_function(one)
    frozen = convert_variables_to_constants_v2(call)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]

    def samples() -> Iterator[list[NDArray[np.float32]]]:
        for picture in pictures:
            yield [scaled(picture)[None]]

    converter.representative_dataset = samples
    if not floats:
        return converter.convert()
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=list(floats))
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=samples, debug_options=options
    )
    return debugger.get_nondebug_quantized_model()


def scaled(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    return picture.astype(np.float32) / 127.5 - 1


def interpreter(content: bytes, shapes: Mapping[str, tuple[int, ...]]) -> Run:
    """Runs the file picture by picture; outputs are told apart by their shapes."""
    lite = tf.lite.Interpreter(model_content=content, num_threads=2)
    lite.allocate_tensors()
    image = lite.get_input_details()[0]["index"]
    found = {tuple(d["shape"][1:].tolist()): d for d in lite.get_output_details()}

    def run(pictures: NDArray[np.float32]) -> Outputs:
        said: dict[str, list[NDArray[np.float32]]] = {name: [] for name in shapes}
        for picture in pictures:
            lite.set_tensor(image, picture[None])
            lite.invoke()
            for name, shape in shapes.items():
                said[name].append(lite.get_tensor(found[shape]["index"])[0])
        return {name: np.stack(part) for name, part in said.items()}

    return run


def shapes_of(model: Any, names: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(out.shape[1:]) for name, out in zip(names, model.outputs, strict=True)}


def draw(start: Any, seed: int, count: int) -> Mapping[str, NDArray[Any]]:
    sample = start(np.random.default_rng(seed))
    kept = [sample() for _ in range(count)]
    return {name: np.stack([np.asarray(one[name]) for one in kept]) for name in kept[0]}


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    top = logits - logits.max(axis=-1, keepdims=True)
    return top - np.log(np.exp(top).sum(axis=-1, keepdims=True))


def nll(logits: NDArray[np.float32], truth: NDArray[Any], temperature: float) -> float:
    logp = log_softmax(logits / temperature)
    return -float(np.take_along_axis(logp, truth[..., None].astype(int), axis=-1).mean())


def best_temperature(logits: NDArray[np.float32], truth: NDArray[Any]) -> float:
    """Guo et al. 2017: the one number that makes held-out log likelihood best."""
    grid = np.exp(np.linspace(np.log(0.5), np.log(4), 80))
    return float(grid[int(np.argmin([nll(logits, truth, t) for t in grid]))])


def calibration_error(p: NDArray[Any], right: NDArray[Any], bins: int = 15) -> float:
    """Expected calibration error over equal-width bins of confidence."""
    which = np.minimum((p * bins).astype(int), bins - 1)
    return float(
        sum(
            (which == b).mean() * abs(p[which == b].mean() - right[which == b].mean())
            for b in range(bins)
            if (which == b).any()
        )
    )


def reader_figures(run: Run, test: Mapping[str, NDArray[Any]], t: float, tc: float) -> str:
    said = run(scaled(test["image"]))
    known = test["known"] > 0
    logp = log_softmax(said["text"] / t)
    exact = (logp.argmax(2) == test["text"]).all(axis=1)
    p = np.exp(logp.max(2))
    right = logp.argmax(2) == test["text"]
    char_ece = calibration_error(p[known].ravel(), right[known].ravel())
    text_ece = calibration_error(np.exp(logp.max(2).sum(1))[known], exact[known])
    where = said["country"].argmax(1) == test["country"]
    pc = np.exp(log_softmax(said["country"] / tc).max(1))
    by = []
    for low, high in ((26, 40), (40, 55), (55, 70), (70, 100), (100, 300)):
        one = known & (test["width"] >= low) & (test["width"] < high) & (test["lines"] == 1)
        by.append(f"{low}+ {exact[one].mean():.3f} ({one.sum()})")
    two = known & (test["lines"] == 2) & (test["width"] >= 40)
    return (
        f"  exact by width: {', '.join(by)}; two-line from 40 px {exact[two].mean():.3f}"
        f" ({two.sum()}); country {where.mean():.3f}\n"
        f"  calibration error: characters {char_ece:.4f}, whole texts {text_ece:.4f}, "
        f"country {calibration_error(pc, where):.4f}"
    )


def export_reader(args: argparse.Namespace) -> None:
    names = ("text", "country")
    start = train_reader.renderer(args.fonts)
    model = loaded(reader_net.build(), args.checkpoint)
    # TFLite's int8 product of two activations loses four characters in five here (TensorFlow
    # 2.21, measured): the slots' weighted sums stay float, one in 200 of the multiplications.
    content = converted(model, draw(start, 501, _RANGES)["image"], ("BATCH_MATMUL",))
    content = named(content, shapes_of(model, names))
    write(args.package, content)
    fit, test = draw(start, 601, _SAMPLES), draw(start, 701, _SAMPLES)
    run8 = interpreter(content, shapes_of(model, names))
    said = run8(scaled(fit["image"]))
    known = fit["known"] > 0
    t = best_temperature(said["text"][known], fit["text"][known])
    tc = best_temperature(said["country"], fit["country"])
    print(f"temperature: text {t:.3f}, country {tc:.3f} (fitted on {_SAMPLES} drawn plates)")
    print(f"int8:\n{reader_figures(run8, test, t, tc)}")
    print(f"float:\n{reader_figures(batched(model, names), test, t, tc)}")


def export_finder(args: argparse.Namespace) -> None:
    names = ("heat", "size", "shape")
    start = train_finder.renderer(args.fonts, args.data)
    model = loaded(finder_net.build(), args.checkpoint)
    content = converted(model, draw(start, 501, _RANGES // 2)["image"])
    content = named(content, shapes_of(model, names))
    write(args.package, content)
    test = draw(start, 701, 300)
    for title, run in (
        ("int8", interpreter(content, shapes_of(model, names))),
        ("float", batched(model, names)),
    ):
        said = run(scaled(test["image"]))
        centre = (test["heat"] >= 1) & (test["care"] > 0)
        p = 1 / (1 + np.exp(-said["heat"][..., 0]))
        there = p[centre]
        off = np.abs(said["size"] - test["size"])[centre]
        corner = np.abs(said["shape"] - test["shape"])[centre & (test["exact"] > 0)]
        print(
            f"{title}: {centre.sum()} plates, centre above 0.3 in {(there > 0.3).mean():.3f}; "
            f"median error: centre {np.median(off[:, :2]):.3f} cells, size "
            f"{np.median(off[:, 2:]):.3f} (ln), corners {np.median(corner):.3f} of the sides"
        )


def loaded(model: Any, file: Path) -> Any:
    import torch

    state = torch.load(file, weights_only=True)
    set_weights(model, state["weights"])
    print(f"{file.name}: step {state['step']}, {model.count_params()} parameters")
    return model


def batched(model: Any, names: tuple[str, ...]) -> Run:
    def run(pictures: NDArray[np.float32]) -> Outputs:
        parts = [model(pictures[k : k + 100], training=False) for k in range(0, len(pictures), 100)]
        return {
            name: np.concatenate([np.asarray(part[k]) for part in parts])
            for k, name in enumerate(names)
        }

    return run


def named(content: bytes, shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """The file with the outputs called as the card calls them; they differ in shape."""
    graph = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    names = {shape: name for name, shape in shapes.items()}
    main = graph.subgraphs[0]
    for index in main.outputs:
        tensor = main.tensors[index]
        tensor.name = names[tuple(map(int, tensor.shape[1:]))]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(graph))


def write(package: Path, content: bytes) -> None:
    package.mkdir(parents=True, exist_ok=True)
    file = package / f"{package.name}.tflite"
    file.write_bytes(content)
    print(f"{file}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Checkpoint -> int8 TFLite file.")
    parser.add_argument("model", choices=("reader", "finder"))
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("package", type=Path, help="folder of the package")
    parser.add_argument("--fonts", type=Path)
    parser.add_argument("--data", type=Path)
    args = parser.parse_args()
    {"reader": export_reader, "finder": export_finder}[args.model](args)


if __name__ == "__main__":
    main()

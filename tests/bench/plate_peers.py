"""Other readers of plates, one a process: questions as JSON lines on stdin, answers on stdout.

    PYTHON tests/bench/plate_peers.py rapidocr      (Python with `pip install rapidocr==3.10.0`)
    PYTHON tests/bench/plate_peers.py tesseract     (with OpenCV, and Debian's tesseract-ocr)

{"file": PATH} asks for the whole picture, {"file": PATH, "boxes": [[x0, y0, x1, y1]]} for the
texts of these boxes. Both get one thread. Reading the file is in no time; cutting out is.
"""

import csv
import io
import json
import logging
import resource
import subprocess
import sys
import time

import cv2
import numpy as np

MARGIN = (0.05, 0.10)  # of a box's width and height, on each side of a crop
ENLARGED = 3
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class RapidOcr:
    """Detector and recogniser as shipped; crops go to the recogniser alone."""

    def __init__(self):
        from rapidocr import RapidOCR

        logging.disable(logging.WARNING)
        one = "EngineConfig.onnxruntime.{}_op_num_threads"
        self.ocr = RapidOCR(params={one.format("intra"): 1, one.format("inter"): 1})

    def whole(self, picture):
        found = self.ocr(picture, use_det=True, use_cls=True, use_rec=True)  # it remembers them
        if found.boxes is None:
            return []
        return [
            {"box": box_around(quad), "text": text, "score": float(score)}
            for quad, text, score in zip(found.boxes, found.txts, found.scores, strict=True)
        ]

    def crop(self, picture):
        found = self.ocr(picture, use_det=False, use_cls=False, use_rec=True)
        if not found.txts:
            return {"text": "", "score": 0.0}
        return {"text": found.txts[0], "score": float(found.scores[0])}


class Tesseract:
    """One process a crop, its start included: there is no other way from the package."""

    options = ("--psm", "7", "-c", f"tessedit_char_whitelist={ALPHABET}")

    def crop(self, picture):
        png = cv2.imencode(".png", picture)[1].tobytes()
        command = ["tesseract", "stdin", "stdout", *self.options, "tsv"]
        done = subprocess.run(
            command, input=png, capture_output=True, env={"OMP_THREAD_LIMIT": "1", "PATH": PATH}
        )
        rows = csv.DictReader(io.StringIO(done.stdout.decode()), delimiter="\t", quoting=3)
        words = [row for row in rows if (row["text"] or "").strip()]
        if not words:
            return {"text": "", "score": 0.0}
        score = min(float(word["conf"]) for word in words) / 100
        return {"text": "".join(word["text"] for word in words), "score": score}


PATH = "/usr/local/bin:/usr/bin:/bin"


def box_around(quad):
    (x0, y0), (x1, y1) = np.min(quad, axis=0), np.max(quad, axis=0)
    return [float(x0), float(y0), float(x1), float(y1)]


def cut(picture, box):
    """A box with its margin, three times as large."""
    (x0, y0, x1, y1), (rows, columns) = box, picture.shape[:2]
    across, down = MARGIN[0] * (x1 - x0), MARGIN[1] * (y1 - y0)
    left, right = max(round(x0 - across), 0), min(round(x1 + across), columns)
    top, bottom = max(round(y0 - down), 0), min(round(y1 + down), rows)
    piece = picture[top:bottom, left:right]
    return cv2.resize(piece, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)


def cpu_s():
    """Of this process and of those that it has waited for."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def answer(peer, question):
    picture = cv2.imread(question["file"])
    began, cpu_began = time.perf_counter(), cpu_s()
    if "boxes" in question:
        said = {"crops": [peer.crop(cut(picture, box)) for box in question["boxes"]]}
    else:
        said = {"lines": peer.whole(picture)}
    wall_ms = (time.perf_counter() - began) * 1e3
    return {**said, "wall_ms": wall_ms, "cpu_ms": (cpu_s() - cpu_began) * 1e3}


def main():
    cv2.setNumThreads(1)
    peer = {"rapidocr": RapidOcr, "tesseract": Tesseract}[sys.argv[1]]()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(peer, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()

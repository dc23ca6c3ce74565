"""The usual loop around norfair: cv2 reads, the same model detects, norfair follows.

Runs in an environment of its own (norfair.txt); arguments are a clip and the SSD's file, its
anchors (y, x, h, w) come as JSON on stdin.
"""

import json
import logging
import sys
import time

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from norfair import Detection, Tracker

SIDE = 300
KINDS = {4: "person", 18: "vehicle", 23: "vehicle", 1: "bicycle"}


def detections(outputs, places):
    boxes, logits = sorted((each[0] for each in outputs), key=lambda each: each.shape[1])
    scores = 1 / (1 + np.exp(-logits))
    found = []
    for label, kind in KINDS.items():
        rows = np.flatnonzero(scores[:, label] > 0.25)
        if not len(rows):
            continue
        y, x = (boxes[rows, :2] / 10 * places[rows, 2:] + places[rows, :2]).T
        h, w = (np.exp(boxes[rows, 2:] / 5) * places[rows, 2:]).T
        corners = np.stack([x - w / 2, y - h / 2, w, h], 1)
        sure = scores[rows, label]
        for row in np.ravel(cv2.dnn.NMSBoxes(corners.tolist(), sure.tolist(), 0.25, 0.5)):
            left, top, wide, high = corners[row]
            points = np.array([[left, top], [left + wide, top + high]])
            scored = np.array([sure[row]] * 2)
            found.append(Detection(points=points, scores=scored, label=kind))
    return found


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    clip, model = sys.argv[1:]
    interpreter = Interpreter(model_path=model, num_threads=1)
    interpreter.allocate_tensors()
    taken = interpreter.get_input_details()[0]["index"]
    given = [each["index"] for each in interpreter.get_output_details()]
    tracker = Tracker(distance_function="iou", distance_threshold=0.95)
    places = np.array(json.load(sys.stdin), np.float32)
    reader, pictures, found = cv2.VideoCapture(clip), 0, 0
    began = time.process_time()
    while True:
        there, picture = reader.read()
        if not there:
            break
        small = cv2.cvtColor(cv2.resize(picture, (SIDE, SIDE)), cv2.COLOR_BGR2RGB)
        interpreter.set_tensor(taken, small[None].astype(np.float32) / 127.5 - 1)
        interpreter.invoke()
        seen = detections([interpreter.get_tensor(index) for index in given], places)
        tracker.update(seen)
        pictures, found = pictures + 1, found + sum(one.scores[0] >= 0.5 for one in seen)
    cpu_ms = (time.process_time() - began) * 1000 / pictures
    json.dump({"cpu_ms": cpu_ms, "found": int(found)}, sys.stdout)

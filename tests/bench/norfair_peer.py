"""Runs norfair over scenes read as JSON from stdin; answers with its tracks and its CPU time.

Lives in an environment of its own, because norfair 2.3 needs numpy 1.
"""

import json
import logging
import sys
import time

import numpy as np
from norfair import Detection, Tracker

VEHICLES = {"car", "bus", "truck", "motorcycle", "vehicle"}


def size_distance(detection, tracked):
    """Mean distance of the corners, in sizes of the detection."""
    size = np.maximum(detection.points[1] - detection.points[0], 1e-3)
    return np.linalg.norm((detection.points - tracked.estimate) / size, axis=1).mean()


def run(scene, setting):
    """Lifetimes as in our tracker: 2 s unseen, 0.3 s to begin, whatever the frame rate."""
    fps = scene["fps"]
    distance = setting["distance"]
    tracker = Tracker(
        distance_function=size_distance if distance == "size" else distance,
        distance_threshold=setting["threshold"],
        hit_counter_max=max(2, round(2.0 * fps)),
        initialization_delay=max(1, round(0.3 * fps)),
    )
    answers, cpu_s = [], 0.0
    for _, seen in scene["frames"]:
        began = time.process_time()
        detections = [
            Detection(
                points=np.array(box).reshape(2, 2),
                scores=np.array([score, score]),
                label="vehicle" if kind in VEHICLES else kind,
            )
            for kind, score, box in seen
            if score >= setting["least_score"]
        ]
        alive = tracker.update(detections)
        cpu_s += time.process_time() - began
        answers.append([(one.id, one.estimate.ravel().tolist()) for one in alive])
    return {"answers": answers, "cpu_s": cpu_s}


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # it would rather have scipy's distances, which know no size
    order = json.load(sys.stdin)
    json.dump([run(scene, order["setting"]) for scene in order["scenes"]], sys.stdout)

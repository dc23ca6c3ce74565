"""MediaPipe's full-range face detector over a clip: CPU ms a picture, and faces in total.

Runs in an environment of its own (mediapipe.txt); its model comes with it.
"""

import json
import sys
import time

import cv2
import mediapipe

if __name__ == "__main__":
    detector = mediapipe.solutions.face_detection.FaceDetection(
        model_selection=1, min_detection_confidence=0.5
    )
    reader, pictures, found = cv2.VideoCapture(sys.argv[1]), 0, 0
    began = None
    while True:
        there, picture = reader.read()
        if not there:
            break
        if began is None:  # the first picture builds the graph
            detector.process(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
            began = time.process_time()
        answer = detector.process(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        pictures, found = pictures + 1, found + len(answer.detections or ())
    cpu_ms = (time.process_time() - began) * 1000 / pictures
    json.dump({"cpu_ms": cpu_ms, "found": found}, sys.stdout)

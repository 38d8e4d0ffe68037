"""Runs MediaPipe's selfie segmentation in a separate Python. Imports nothing of this project.

``benchmarks/selfie/model.py`` starts it with three arguments: which model (0 or 1), and the frames' width and height.
It writes one line of JSON, ``{"version": ..., "model": ...}`` or ``{"error": ...}``. Then, for every frame that it
reads from its standard input (uint8, height x width x 3, BGR), it writes the nanoseconds that the frame took (8 bytes,
little endian) and its alpha (uint8, height x width). The time leaves out reading and writing.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

LAST = (0, 10, 21)
"""The last version with its models in the package. Newer ones, which can report usage, are not even imported."""
MODELS = ("selfie segmentation, general 256x256", "selfie segmentation, landscape 256x144")


def main() -> None:
    which, width, height = map(int, sys.argv[1:])
    # What the libraries print must not get between the frames.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def tell(**facts: str) -> None:
        out.write(json.dumps(facts).encode() + b"\n")
        out.flush()

    try:
        installed = version("mediapipe")
    except PackageNotFoundError:
        installed = ""
    if tuple(int(part) for part in re.findall(r"\d+", installed)[:3]) > LAST:
        return tell(error=f"mediapipe {installed} comes without the model: it needs mediapipe 0.10.21")
    try:
        import cv2
        import numpy as np

        mediapipe = import_module("mediapipe")
    except ImportError as error:
        return tell(error=f"not installed: {error}")
    solutions = getattr(mediapipe, "solutions", None)
    if solutions is None:
        return tell(error="this mediapipe has no solutions: it needs mediapipe 0.10.21")
    segmentation = solutions.selfie_segmentation.SelfieSegmentation(model_selection=which)
    tell(version=mediapipe.__version__, model=MODELS[which])
    size = width * height * 3
    while len(block := sys.stdin.buffer.read(size)) == size:
        image = np.frombuffer(block, np.uint8).reshape(height, width, 3)
        began = time.perf_counter_ns()
        mask = segmentation.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).segmentation_mask
        alpha = cv2.convertScaleAbs(mask, alpha=255)
        took = time.perf_counter_ns() - began
        out.write(took.to_bytes(8, "little"))
        out.write(alpha.tobytes())
        out.flush()


if __name__ == "__main__":
    main()

"""Shows what the OpenCV that this Python imports offers rvm-live: ``python -m tools.opencv_cuda_report``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

__all__ = ["main", "rows"]


def rows() -> list[tuple[str, str]]:
    """Name and finding, one pair per line."""
    import cv2

    from rvm_live.compositing.opencv_cuda import why_not

    build = cv2.getBuildInformation()

    def told(name: str) -> str:
        found = re.search(rf"^\s*{re.escape(name)}:\s*(\S.*)$", build, re.MULTILINE)
        return "none" if found is None or found[1] in ("NO", "NONE") else found[1].strip()

    devices = cv2.cuda.getCudaEnabledDeviceCount()
    reason = why_not(cv2.cuda)
    return [
        ("OpenCV", str(cv2.__version__)),
        ("CUDA", told("NVIDIA CUDA")),
        ("code for GPUs", told("NVIDIA GPU arch")),
        ("PTX for newer ones", told("NVIDIA PTX archs")),
        ("NPP", ", ".join(_loaded("npp")) or "none loaded"),
        ("window", told("GUI")),
        ("cameras (V4L2)", told("v4l/v4l2")),
        ("streams (FFmpeg)", told("FFMPEG")),
        ("devices", str(devices)),
        ("compositor opencv-cuda", "works here" if reason is None else reason),
    ]


def _loaded(part: str) -> list[str]:
    """Shared libraries of this process whose name begins with ``lib`` and ``part``; Linux only."""
    maps = Path("/proc/self/maps")
    if not maps.is_file():
        return []
    return sorted(set(re.findall(rf"/(lib{part}[^/\s]*)$", maps.read_text(), re.MULTILINE)))


def main() -> int:
    """Print the lines; returns 1 if this OpenCV has no CUDA modules."""
    import cv2

    for name, finding in rows():
        print(f"{name:24}{finding}")
    return 0 if hasattr(cv2.cuda, "multiply") else 1


if __name__ == "__main__":
    sys.exit(main())

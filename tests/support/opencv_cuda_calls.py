"""Does the real ``cv2.cuda`` accept the calls of the opencv-cuda compositor? Run as a program, prints JSON.

The compositor works on the stand-in, which records the form of every call. Each form is compared with the signatures of
the real functions, and the constructors are called.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from rvm_live.backgrounds.base import Blur, Clear, Plate
from rvm_live.compositing.opencv_cuda import OpenCvCudaCompositor
from rvm_live.core.frames import Frame, Matte
from tests.support import opencv_cuda

Form = tuple[str, tuple[Any, ...], dict[str, Any]]


def recorded() -> list[Form]:
    """Every call of three composites: name, positional and named arguments; ``GpuMat.x`` for a matrix's methods."""
    forms: list[Form] = []

    def noting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **named: Any) -> Any:
            forms.append((name, args, named))
            return call(*args, **named)

        return noted

    class Matrix(opencv_cuda.GpuMat):
        def __init__(self, *args: Any) -> None:
            forms.append(("GpuMat", args, {}))
            super().__init__(*args)

        def __getattribute__(self, name: str) -> Any:
            value = super().__getattribute__(name)
            return noting(f"GpuMat.{name}", value) if name in ("upload", "download", "convertTo", "size") else value

    class Recorder(opencv_cuda.FakeCuda):
        GpuMat = Matrix

        def __getattribute__(self, name: str) -> Any:
            value = super().__getattribute__(name)
            if name == "createSeparableLinearFilter":

                def create(*args: Any) -> Any:
                    forms.append((name, args, {}))
                    made = value(*args)
                    made.apply = noting("Filter.apply", made.apply)
                    return made

                return create
            return noting(name, value) if callable(value) and name[0].islower() else value

    real, cv2.cuda = cv2.cuda, Recorder()
    try:
        compositor = OpenCvCudaCompositor()
        compositor.open()
        rng = np.random.default_rng(1)
        image = rng.integers(0, 256, (240, 320, 3), dtype=np.uint8)
        matte = Matte(Frame(image, seq=0, epoch=0, captured_ns=0), image[..., 0].copy(), image)
        for layer in (Plate(image, 0), Blur(80), Clear()):
            compositor.composite(matte, layer)
        compositor.close()
    finally:
        cv2.cuda = real
    # What sharing memory with torch needs besides; see rvm_live/compositing/cuda_memory.py.
    forms.append(("wrapStream", (0,), {}))
    forms.append(("createGpuMatFromCudaMemory", (4, 6, cv2.CV_8UC3, 4096, 18), {}))
    forms.append(("setDevice", (0,), {}))
    return forms


def outcome(form: Form) -> str:
    """``ok``, or the real function's objection to the arguments.

    A function is only asked for its signatures: called without a device, OpenCV ends the process, because the bindings
    make the default stream where they catch no exceptions.
    """
    name, args, named = form
    if name == "GpuMat":
        return constructed(args)
    owner, _, method = name.rpartition(".")
    target = getattr(getattr(cv2.cuda, owner) if owner else cv2.cuda, method, None)
    if target is None:
        return "there is no mask"
    signatures = re.findall(rf"^{method}\((.*?)\) -> ", target.__doc__, re.MULTILINE)
    return "ok" if any(fits(signature, args, named) for signature in signatures) else f"takes {signatures}"


def fits(signature: str, args: tuple[Any, ...], named: dict[str, Any]) -> bool:
    """Whether such a call fits a signature like ``src1, src2[, dst[, stream]]``."""
    required = len(re.findall(r"\w+", signature.partition("[")[0]))
    names = re.findall(r"\w+", signature)
    return len(args) <= len(names) and set(names[len(args) : required]) <= set(named) <= set(names[len(args) :])


def constructed(args: tuple[Any, ...]) -> str:
    """Call a constructor, which is possible: it checks its arguments before it asks for a device."""
    try:
        cv2.cuda.GpuMat(*(cv2.cuda.GpuMat() if isinstance(part, opencv_cuda.GpuMat) else part for part in args))
    except SystemError as error:  # how the bindings raise a constructor's cv2.error
        return "ok" if isinstance(error.__cause__, cv2.error) else str(error)
    except (cv2.error, TypeError) as error:
        return str(error)
    return "ok"


if __name__ == "__main__":
    distinct: dict[str, str] = {}
    for form in recorded():
        kinds = [type(part).__name__ for part in form[1]], {key: type(part).__name__ for key, part in form[2].items()}
        distinct[f"{form[0]} {kinds[0]} {kinds[1]}"] = outcome(form)
    sys.stdout.write(json.dumps(distinct, indent=1) + "\n")

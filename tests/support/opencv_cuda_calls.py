"""Does the real ``cv2.cuda`` understand the calls of the opencv-cuda compositor? Run as a program, prints JSON.

The compositor works on the stand-in, which notes the form of every call; each form is then made on the real functions,
with empty matrices. Without a device, or on empty matrices, they fail, but after they have understood their arguments.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from rvm_live.backgrounds.base import Blur, Clear, Plate
from rvm_live.compositors.opencv_cuda import OpenCvCudaCompositor
from rvm_live.frames import Frame, Matte
from tests.support import opencv_cuda

Form = tuple[str, tuple[Any, ...], dict[str, Any]]


def recorded() -> list[Form]:
    """Every call of three composites: name, positional and named arguments; ``GpuMat.x`` for methods of a matrix."""
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
    # What memory shared with torch needs beyond that; see rvm_live/compositors/cuda_memory.py.
    forms.append(("wrapStream", (0,), {}))
    forms.append(("createGpuMatFromCudaMemory", (4, 6, cv2.CV_8UC3, 4096, 18), {}))
    forms.append(("setDevice", (0,), {}))
    return forms


def real_of(value: Any) -> Any:
    """The same argument for the real functions: empty matrices, and a stream that nothing runs in."""
    if isinstance(value, opencv_cuda.GpuMat):
        return cv2.cuda.GpuMat()
    if isinstance(value, opencv_cuda.Stream):
        return cv2.cuda.wrapStream(0)
    if isinstance(value, (list, tuple)):
        return type(value)(real_of(part) for part in value)
    return value


def outcome(form: Form) -> str:
    """``ok``, ``understood`` (and failed afterwards), or what the binding has against the arguments."""
    name, args, named = form
    try:
        target: Any = cv2.cuda
        if name.startswith("Filter."):
            # No filter can be made without a device: its method is looked at on the class.
            return "ok" if hasattr(cv2.cuda.Filter, name.partition(".")[2]) else f"{name} is not there"
        if name.startswith("GpuMat."):
            target, name = cv2.cuda.GpuMat(), name.partition(".")[2]
        getattr(target, name)(*map(real_of, args), **{key: real_of(value) for key, value in named.items()})
    except cv2.error as error:
        text = " ".join(str(error).split())
        return text if "Overload resolution failed" in text or "Bad argument" in text else f"understood: {text}"
    except SystemError as error:  # how the bindings raise a constructor's cv2.error
        return f"understood: {error.__cause__ or error}"
    except (TypeError, AttributeError) as error:
        return str(error)
    return "ok"


if __name__ == "__main__":
    distinct: dict[str, str] = {}
    for form in recorded():
        kinds = [type(part).__name__ for part in form[1]], {key: type(part).__name__ for key, part in form[2].items()}
        key = f"{form[0]} {kinds[0]} {kinds[1]}"
        if key not in distinct:
            distinct[key] = outcome(form)
    sys.stdout.write(json.dumps(distinct, indent=1) + "\n")

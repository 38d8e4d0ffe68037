"""The compositor on OpenCV's CUDA modules, for a self-built OpenCV (pip's has none)."""

from __future__ import annotations

from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Blur, Clear, Layer, Plate
from rvm_live.compositing.base import Compositor
from rvm_live.compositing.common import GREY, PRIOR, ROUND_UP, BlurPlan, Plates, check_layer, plan_blur
from rvm_live.compositing.cpu import Scratch, blurred
from rvm_live.compositing.cuda_memory import GpuMatte, Memory, memory_for
from rvm_live.core.errors import CompositorError, UnavailableError
from rvm_live.core.frames import Matte

__all__ = ["OpenCvCudaCompositor", "why_not"]

GpuMat: TypeAlias = Any

NEEDED = {
    "core": ("GpuMat", "Stream"),
    "cudaarithm": ("add", "bitwise_and", "bitwise_not", "divide", "merge", "multiply", "split"),
    "cudafilters": ("createSeparableLinearFilter",),
    "cudawarping": ("remap", "resize"),
}


# Where a constructor fails, OpenCV's bindings raise a SystemError whose cause is the cv2.error.
_FAILURES = (cv2.error, RuntimeError, SystemError)


def why_not(api: Any) -> str | None:
    """Why ``api`` (``cv2.cuda``) cannot do the work here, in one line; None if nothing speaks against it."""
    built = f"this OpenCV ({cv2.__version__})"
    lacking = [module for module, names in NEEDED.items() if not all(hasattr(api, name) for name in names)]
    if "cudaarithm" in lacking:  # without CUDA the core names exist too, but do nothing
        return f"{built} is built without CUDA, as every pip package is"
    try:
        devices = api.getCudaEnabledDeviceCount()
    except cv2.error as error:
        return f"{built} finds no CUDA device: {_line(error)}"
    if devices < 0:
        return f"{built} finds no CUDA device: the driver is not installed, or too old for it"
    if devices == 0:
        return f"{built} finds no CUDA device"
    if lacking:
        return f"{built} is built without its modules {', '.join(lacking)}"
    return None


def _line(error: BaseException) -> str:
    told = error.__cause__ if isinstance(error, SystemError) and error.__cause__ else error
    return " ".join(str(told).split())


def _try_out(api: Any) -> None:
    """Run one kernel: a build may have no code for this GPU."""
    square, stream = api.GpuMat(8, 8, cv2.CV_8UC3), api.Stream()
    api.multiply(square, square, dst=square, scale=1.0, stream=stream)
    stream.waitForCompletion()


class OpenCvCudaCompositor(Compositor):
    """Per-pixel alpha blend, blur and cut-out through ``cv2.cuda``.

    Working memory is kept from frame to frame: allocating it anew would make CUDA wait for the whole device.
    """

    name = "opencv-cuda"

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(device)
        self._api: Any = None
        self._memory: Memory | None = None
        self._buffers: dict[str, GpuMat] = {}
        self._plates: Plates[GpuMat] = Plates()
        self._blur: _CudaBlur | None = None
        self._lenses: Scratch | None = None
        self._made = 0

    def open(self) -> None:
        api = getattr(cv2, "cuda", None)
        reason = why_not(api)
        if reason is not None:
            raise UnavailableError(reason)
        self._api = api
        try:
            self._memory = memory_for(api, self.device)
            _try_out(api)
        except _FAILURES as error:
            self.close()
            if "no kernel image" in _line(error):
                lack = f"this OpenCV ({cv2.__version__}) has no code for this GPU (see docs/opencv-cuda.md)"
                raise UnavailableError(lack) from error
            raise UnavailableError(f"OpenCV cannot use the CUDA device: {_line(error)}") from error

    def composite(self, matte: Matte, layer: Layer, *, source_foreground: bool = False) -> NDArray[np.uint8]:
        check_layer(layer, matte.frame)
        if self._memory is None:
            raise CompositorError("the opencv-cuda compositor is not open")
        if isinstance(layer, Blur) and layer.lens:
            layer = self._by_processor(matte, layer)
        channels = 4 if isinstance(layer, Clear) else 3
        try:
            with self._memory.frame(matte, channels) as gpu:
                colour = gpu.image if source_foreground else gpu.colour
                if isinstance(layer, Clear):
                    self._cut_out(colour, gpu)
                else:
                    self._blend(colour, gpu, layer)
                return gpu.fetch()
        except _FAILURES as error:
            raise CompositorError(f"OpenCV failed on CUDA: {_line(error)}") from error

    @property
    def trouble(self) -> str:
        return "opencv-cuda cannot blur like a lens: the CPU does it" if self._lenses is not None else ""

    def _by_processor(self, matte: Matte, layer: Blur) -> Plate:
        """The blurred surroundings made on the CPU; OpenCV's CUDA modules lack the tables for it."""
        host = matte.host()
        if self._lenses is None or self._lenses.size != host.alpha.shape:
            self._lenses = Scratch(*host.alpha.shape)
        self._made += 1
        return Plate(np.ascontiguousarray(blurred(matte.frame.image, host.alpha, layer, self._lenses)), self._made)

    def close(self) -> None:
        self._lenses = None
        self._buffers.clear()
        self._plates.clear()
        self._blur = self._memory = None

    def _buffer(self, name: str, like: GpuMat, kind: int) -> GpuMat:
        """Working memory of the size of ``like``, the same every time it is asked for by that name."""
        width, height = like.size()
        known = self._buffers.get(name)
        if known is None or known.size() != (width, height):
            known = self._buffers[name] = self._api.GpuMat(height, width, kind)
        return known

    def _blend(self, colour: GpuMat, gpu: GpuMatte, layer: Plate | Blur) -> None:
        api = self._api
        share = self._buffer("share", colour, cv2.CV_8UC3)
        rest = self._buffer("rest", colour, cv2.CV_8UC3)
        front = self._buffer("front", colour, cv2.CV_8UC3)
        behind = self._buffer("behind", colour, cv2.CV_8UC3)
        api.merge([gpu.alpha] * 3, dst=share, stream=gpu.stream)
        api.bitwise_not(share, dst=rest, stream=gpu.stream)
        plate = self._blurred(rest, gpu, layer) if isinstance(layer, Blur) else self._uploaded(layer, gpu)
        api.multiply(colour, share, dst=front, scale=1 / 255, stream=gpu.stream)
        api.multiply(plate, rest, dst=behind, scale=1 / 255, stream=gpu.stream)
        api.add(front, behind, dst=gpu.result, stream=gpu.stream)

    def _cut_out(self, colour: GpuMat, gpu: GpuMatte) -> None:
        api = self._api
        seen = self._buffer("seen", colour, cv2.CV_8UC1)
        planes = [self._buffer(f"plane{index}", colour, cv2.CV_8UC1) for index in range(3)]
        # 255 times alpha saturates: 0 stays 0, all else becomes 255. This is a mask for the colour below.
        gpu.alpha.convertTo(cv2.CV_8U, 255.0, 0.0, gpu.stream, seen)
        api.split(colour, dst=planes, stream=gpu.stream)
        for plane in planes:
            api.bitwise_and(plane, seen, dst=plane, stream=gpu.stream)
        api.merge([*planes, gpu.alpha], dst=gpu.result, stream=gpu.stream)

    def _uploaded(self, plate: Plate, gpu: GpuMatte) -> GpuMat:
        def upload(gone: GpuMat | None) -> GpuMat:
            width, height = gpu.alpha.size()
            stored = gone
            if stored is None or stored.size() != (width, height):
                stored = self._api.GpuMat(height, width, cv2.CV_8UC3)
            stored.upload(plate.image, gpu.stream)
            return stored

        return self._plates.get(plate, upload)

    def _blurred(self, rest: GpuMat, gpu: GpuMatte, layer: Blur) -> GpuMat:
        width, height = rest.size()
        plan = plan_blur(width, height, layer.strength)
        if self._blur is None or self._blur.plan is not plan or self._blur.size != (width, height):
            self._blur = _CudaBlur(self._api, plan, width, height)
        return self._blur(gpu.image, rest, gpu.alpha, gpu.stream)


class _CudaBlur:
    """The frame's surroundings without the person, for one size; steps as in :mod:`rvm_live.compositing.common`."""

    def __init__(self, api: Any, plan: BlurPlan, width: int, height: int) -> None:
        self.plan = plan
        self.size = (width, height)
        self._api = api
        four, one, three = cv2.CV_32FC4, cv2.CV_32FC1, cv2.CV_32FC3
        self._product = api.GpuMat(height, width, three)
        self._planes = [api.GpuMat(height, width, one) for _ in range(4)]
        self._padded = _uploaded(api, np.zeros((plan.padded_height, plan.padded_width, 4), np.float32))
        self._inner = api.GpuMat(self._padded, (0, 0, width, height))
        sizes = [(plan.padded_height >> level, plan.padded_width >> level) for level in range(1, plan.levels + 1)]
        self._halves = [api.GpuMat(h, w, four) for h, w in sizes]
        small = (plan.height, plan.width)
        self._smoothed = api.GpuMat(*small, four)
        prior = np.array([GREY, GREY, GREY, 1.0], np.float32) * np.float32(PRIOR)
        self._prior = _uploaded(api, np.tile(prior, (*small, 1)))
        self._small_planes = [api.GpuMat(*small, one) for _ in range(4)]
        self._colour = api.GpuMat(*small, three)
        self._weight = api.GpuMat(*small, three)
        self._levels = api.GpuMat(*small, cv2.CV_8UC3)
        self._whole = api.GpuMat(*small, three)
        # remap, not resize: unlike resize on the CPU, OpenCV's CUDA resize does not sample at pixel centres.
        x = (np.arange(width, dtype=np.float32) + 0.5) / plan.factor - 0.5
        y = (np.arange(height, dtype=np.float32) + 0.5) / plan.factor - 0.5
        self._x = _uploaded(api, np.tile(x, (height, 1)))
        self._y = _uploaded(api, np.repeat(y[:, None], width, axis=1))
        self._enlarged = api.GpuMat(height, width, cv2.CV_8UC3)
        border = cv2.BORDER_CONSTANT
        self._gauss = api.createSeparableLinearFilter(four, four, plan.kernel, plan.kernel, (-1, -1), border, border)

    def __call__(self, image: GpuMat, rest: GpuMat, alpha: GpuMat, stream: Any) -> GpuMat:
        """Args: uint8 image (H, W, 3); ``rest``, 255 - alpha, thrice; ``alpha`` (H, W). Returns uint8 (H, W, 3)."""
        api = self._api
        api.multiply(image, rest, dst=self._product, scale=1.0, dtype=cv2.CV_32F, stream=stream)
        api.split(self._product, dst=self._planes[:3], stream=stream)
        alpha.convertTo(cv2.CV_32F, -255.0, 255.0 * 255.0, stream, self._planes[3])
        api.merge(self._planes, dst=self._inner, stream=stream)
        values = self._padded
        for half in self._halves:
            values = api.resize(values, half.size(), dst=half, interpolation=cv2.INTER_AREA, stream=stream)
        self._gauss.apply(values, dst=self._smoothed, stream=stream)
        api.add(self._smoothed, self._prior, dst=self._smoothed, stream=stream)
        api.split(self._smoothed, dst=self._small_planes, stream=stream)
        api.merge(self._small_planes[:3], dst=self._colour, stream=stream)
        api.merge([self._small_planes[3]] * 3, dst=self._weight, stream=stream)
        api.divide(self._colour, self._weight, dst=self._colour, scale=255.0, stream=stream)
        self._colour.convertTo(cv2.CV_8U, 1.0, ROUND_UP - 0.5, stream, self._levels)
        if not self.plan.levels:
            return self._levels
        # Integer levels, enlarged without rounding into the memory of the first step, then rounded half up.
        self._levels.convertTo(cv2.CV_32F, 1.0, 0.0, stream, self._whole)
        large, border = self._product, cv2.BORDER_REPLICATE
        api.remap(self._whole, self._x, self._y, cv2.INTER_LINEAR, dst=large, borderMode=border, stream=stream)
        large.convertTo(cv2.CV_8U, 1.0, 2.0**-12, stream, self._enlarged)
        return self._enlarged


def _uploaded(api: Any, values: NDArray[np.float32]) -> GpuMat:
    stored = api.GpuMat()
    stored.upload(np.ascontiguousarray(values))
    return stored

"""Matting without a pipeline: one call per picture."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rvm_live.backgrounds.backdrop import Backdrop
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EngineError
from rvm_live.core.frames import Frame, Matte, check_picture
from rvm_live.core.settings import DeviceName, EngineName, EngineSettings, Foreground, Model, Precision
from rvm_live.core.validation import check_has
from rvm_live.engines.base import Engine, EngineInfo, close_failed
from rvm_live.engines.select import AutoEngine

__all__ = ["EngineSession", "open_engine"]

_CLOSED = "the session is closed: open a new one with open_engine()"


def open_engine(
    engine: EngineName = "auto",
    *,
    model: Model | None = None,
    weights: str | os.PathLike[str] | None = None,
    device: DeviceName = "auto",
    precision: Precision = "auto",
    downsample_ratio: float | Literal["auto"] | None = None,
    foreground: Foreground = "model",
    steady: bool | None = None,
    box: bool | None = None,
    gate: bool | None = None,
    offline: bool = False,
    key: str | None = None,
    require_licence: tuple[str, ...] = (),
) -> EngineSession:
    """Open a matting engine for use from your own program.

    ::

        import cv2
        import rvm_live

        with rvm_live.open_engine() as engine:
            camera = cv2.VideoCapture(0)
            while True:
                ok, image = camera.read()
                if not ok:
                    break
                matte = engine.matte(image).host()
                cv2.imshow("alpha", matte.alpha)
                cv2.waitKey(1)

    Args:
        engine: a registered name, ``package.module:Class``, or ``auto``: RVM where its weights are here (or a ``model``
            of it is asked for, or the user agreed to the download before), else the embedded ``lite``.
        model: ``mobilenetv3`` or ``resnet50``; None: mobilenetv3, or what the weights file holds.
        weights: file or folder; None: ``RVM_LIVE_WEIGHTS``, else the cache, else, where RVM was asked for by name, the
            official release.
        device: ``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N``; with OpenVINO ``intel-gpu``, ``intel-gpu:N`` or
            ``npu``.
        precision: ``auto``, ``fp32``, ``fp16`` (on a GPU), or with OpenVINO ``bf16`` (on a CPU that has it) or ``int8``
            (once calibrated).
        downsample_ratio: in (0, 1]; None or ``auto``: ``min(512 / max(H, W), 1)``, whatever else the machine does.
        foreground: ``model``, or ``source`` if you only need alpha, which is faster: the matte's foreground is
            then the picture itself.
        steady: average alpha over time where nothing moves (on a CPU); None: with ``lite``, which flickers more.
        box: run the network only on a box around the person, which is faster when the pictures are consecutive frames
            of a video; None: on the whole picture.
        gate: run it only when something has moved; None: on every picture.
        offline: never go to the network for weights.
        key: for ``chroma``: the screen's colour, such as ``#00b140``; None: found in the picture.
        require_licence: families of licences, such as ``("apache", "mit", "bsd")``: an engine whose code or weights are
            under another or an unknown one is refused, and ``auto`` takes none such. Empty: all of them.

    Returns:
        An open session; leave its ``with`` block or call ``close()`` to free the device.

    Raises:
        SettingsError: a setting is out of range or unknown.
        WeightsError: the weights are missing or unusable.
        UnavailableError: the device is not there, or no engine works here.
    """
    settings = EngineSettings.of(
        {
            "engine": engine,
            "model": model,
            "weights": weights,
            "device": device,
            "precision": precision,
            "downsample_ratio": downsample_ratio,
            "foreground": foreground,
            "steady": steady,
            "box": box,
            "gate": gate,
            "offline": offline,
            "key": key,
            "require_licence": require_licence,
        }
    )
    return EngineSession(AutoEngine(settings))


class EngineSession:
    """An open engine that numbers the pictures and keeps the recurrent state between them.

    Use it from one thread at a time. Made by :func:`open_engine`.

    Args:
        engine: a fresh engine, not yet opened; the session opens and closes it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._closed = False
        self._seq = 0
        self._epoch = 0
        self._size: tuple[int, int] | None = None
        self._background = Backdrop()
        check_has(engine, "the engine", "an rvm_live.Engine", ("open", "info", "reset", "matte"))
        try:
            engine.open()
        except BaseException:
            self._closed = True
            close_failed(engine)
            raise

    @property
    def info(self) -> EngineInfo:
        """What runs: engine, model, device, precision, and, from the first picture on, the ratio."""
        return self._engine.info

    def matte(self, image_bgr: NDArray[Any]) -> Matte:
        """Estimate the matte of the next picture of the video.

        A picture of another size than the one before starts a new video.

        Args:
            image_bgr: uint8 (H, W, 3) BGR, as OpenCV delivers it; copied, so the caller may reuse its memory.

        Returns:
            The matte; its ``host()`` gives alpha uint8 (H, W) and foreground uint8 (H, W, 3) BGR, a cut-out that
            contains nothing of the room.

        Raises:
            SettingsError: the picture is not as described.
            EngineError: the estimate failed, or the session is closed.
        """
        if self._closed:
            raise EngineError(_CLOSED)
        captured_ns = SYSTEM_CLOCK.now_ns()
        image = check_picture(image_bgr)
        size = (image.shape[1], image.shape[0])
        if self._size is None:
            self._engine.prepare(*size)
        elif size != self._size:
            self.reset()
        self._size = size
        frame = Frame(image, self._seq, self._epoch, captured_ns)
        self._seq += 1
        return self._engine.matte(frame)

    def composite(
        self, image_bgr: NDArray[Any], background: str | os.PathLike[str] | NDArray[Any] = "transparent"
    ) -> NDArray[np.uint8]:
        """Put the person of the next picture of the video over a background.

        Args:
            image_bgr: as for :meth:`matte`.
            background: as ``--background`` on the command line (``"beach.jpg"``, ``"blur:25"``, ``"color:#00ff88"``,
                ``"transparent"``), or a picture, uint8 (h, w, 3) BGR, which is brought to the size of the image. A
                video begins with the first image that it is given for, and goes on in its own time.

        Returns:
            A new picture, uint8 (H, W, 3) BGR; over ``"transparent"`` uint8 (H, W, 4) BGRA with straight alpha (colour
            not multiplied by it), colour 0 where alpha is 0.

        Raises:
            SettingsError: a picture or the background is not as described.
            BackgroundError: the background cannot be read.
            EngineError: the estimate failed, or the session is closed.
        """
        from rvm_live.compositing.cpu import CpuCompositor  # imported only now: it needs OpenCV

        if self._closed:
            raise EngineError(_CLOSED)
        height, width = check_picture(image_bgr).shape[:2]
        layer = self._background.layer(background, width, height)
        return CpuCompositor().composite(self.matte(image_bgr), layer)

    def reset(self) -> None:
        """Start a new video: forget the recurrent state. Call it at a cut."""
        if self._closed:
            raise EngineError(_CLOSED)
        self._epoch += 1
        self._engine.reset()

    def close(self) -> None:
        """Free the device; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._background.close()
            self._engine.close()

    def __enter__(self) -> EngineSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        elif not self._closed:
            self._closed = True
            self._background.close()
            close_failed(self._engine)

    def __repr__(self) -> str:
        return f"EngineSession({self.info!r}, {'closed' if self._closed else 'open'})"

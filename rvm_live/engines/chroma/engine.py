"""The engine ``chroma``, for a green or blue screen."""

from __future__ import annotations

import numpy as np

from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.colors import parse_color
from rvm_live.core.errors import EngineError, SettingsError, UnavailableError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, EngineInfo
from rvm_live.engines.chroma.keyer import Keyer
from rvm_live.engines.chroma.screen import Key, find_key
from rvm_live.system.cpu_info import cpu_name

__all__ = ["ChromaEngine"]

_SEARCH_NS = 1_000_000_000
_NO_SCREEN = "no green or blue screen was found: name its colour with --key '#rrggbb', or choose another engine"


class ChromaEngine(Engine):
    """Keys out a green or blue screen, without a network or weights, with every hair that the camera resolves.

    The screen's colour is ``settings.key``, or is found in the first second: until then nobody is shown. Everything
    that is not of its colour counts as person, so the screen has to fill the picture.
    """

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        self._told: Key | None = None
        self._keyer: Keyer | None = None
        self._size = (0, 0)
        self._searching_since_ns: int | None = None
        self._anew = True
        self._info = EngineInfo("chroma", "", "cpu", "", "8 bit")

    def open(self) -> EngineInfo:
        if self.settings.device not in ("auto", "cpu"):
            raise UnavailableError(f"chroma runs on the cpu, not on {self.settings.device}")
        if self.settings.key is not None:
            self._told = Key.told(parse_color(self.settings.key))
            if self._told is None:
                raise SettingsError(f"--key {self.settings.key} is grey: choose a screen colour that nobody wears")
        self._info = EngineInfo("chroma", "", "cpu", cpu_name(), "8 bit", downsample_ratio=1.0)
        return self._info

    @property
    def info(self) -> EngineInfo:
        return self._info

    def reset(self) -> None:
        """The next picture may be of another place: its screen is looked for anew."""
        self._anew, self._searching_since_ns = True, None

    def matte(self, frame: Frame) -> Matte:
        started_ns = SYSTEM_CLOCK.now_ns()
        if self._anew or self._keyer is None or self._size != (frame.width, frame.height):
            self._prepare(frame)
        if self._keyer is None:
            alpha, foreground = np.zeros((frame.height, frame.width), np.uint8), None
        else:
            alpha, foreground = self._keyer.apply(frame.image, colours=self.settings.foreground == "model")
        return Matte(frame, alpha, foreground, None, None, started_ns, SYSTEM_CLOCK.now_ns())

    def _prepare(self, frame: Frame) -> None:
        """Make a keyer for the screen in a picture.

        Raises:
            EngineError: there is none, live in a second of pictures, in a file in the first.
        """
        key = self._told or find_key(frame.image)
        if key is None:
            self._keyer = None
            if self._searching_since_ns is None:
                self._searching_since_ns = frame.captured_ns
            if not self.settings.keep_up or frame.captured_ns - self._searching_since_ns >= _SEARCH_NS:
                raise EngineError(_NO_SCREEN)
            return
        self._keyer = Keyer(key, frame.width, frame.height)
        self._size, self._anew, self._searching_since_ns = (frame.width, frame.height), False, None

    def close(self) -> None:
        self._keyer = None

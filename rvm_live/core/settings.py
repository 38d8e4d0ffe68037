"""What the user asked for: frozen, validated on construction, free of heavy imports."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypedDict, get_args
from urllib.parse import urlsplit

from rvm_live.core.camera_in_use import CameraInUse
from rvm_live.core.colors import parse_color
from rvm_live.core.errors import SettingsError
from rvm_live.core.framing import Framing
from rvm_live.core.look import LOW_LIGHT, Look
from rvm_live.core.only_me import PEOPLE, parse_person
from rvm_live.core.things import CHAIR
from rvm_live.core.validation import check_choice, check_fields, require

__all__ = [
    "DISPLAY_MODES",
    "DeviceName",
    "EngineName",
    "EngineOptions",
    "EngineSettings",
    "Foreground",
    "LiveSettings",
    "Model",
    "Precision",
    "SourceSettings",
    "parse_ratio",
]

EngineName: TypeAlias = "Literal['auto', 'chroma', 'lite', 'onnx', 'openvino', 'rvm', 'torchscript'] | str"
"""A built-in name, the name of a plug-in, or ``package.module:Class``."""
DeviceName: TypeAlias = "Literal['auto', 'cpu', 'mps', 'cuda', 'intel-gpu', 'npu'] | str"
"""Also ``cuda:N`` and ``intel-gpu:N``."""
Precision: TypeAlias = Literal["auto", "fp32", "fp16", "bf16", "int8"]
Model: TypeAlias = Literal["mobilenetv3", "resnet50"]
Foreground: TypeAlias = Literal["model", "source"]

DISPLAY_MODES = ("result", "comparison", "matte")
"""In the order in which the ``o`` key goes through them; the first is the default and shows no camera pixel."""
STATISTICS = ("line", "table", "off")
"""Statistics shown over the picture: a line in a corner, a table with every stage, or none."""
CAMERA_SIZES = ((640, 360), (1280, 720), (1920, 1080))
"""Sizes of a virtual camera, width and height in pixels: those that work on every system."""


class EngineOptions(TypedDict, total=False):
    """Keywords of :func:`rvm_live.open_engine` and of every call that opens an engine; described there."""

    engine: EngineName
    model: Model | None
    weights: str | os.PathLike[str] | None
    device: DeviceName
    precision: Precision
    downsample_ratio: float | Literal["auto"] | None
    foreground: Foreground
    steady: bool | None
    box: bool | None
    gate: bool | None
    offline: bool
    key: str | None
    require_licence: tuple[str, ...]


MODELS: tuple[Model, ...] = get_args(Model)
LICENCES = ("agpl", "apache", "bsd", "cc-by", "cc0", "gpl", "isc", "lgpl", "mit", "mpl", "unlicense")
"""Families of licences that can be asked for."""
MAX_SIDE = 16384
MAX_FPS = 1000.0
_DEVICE = re.compile(r"auto|cpu|mps|npu|(cuda|intel-gpu)(:[0-9]{1,2})?")
_NAME = r"[^\W\d]\w*"
_CLASS = re.compile(rf"[\w.-]+|{_NAME}(\.{_NAME})*:{_NAME}(\.{_NAME})*")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def parse_ratio(text: str) -> float | None:
    """Read a downsample ratio: ``auto`` gives None, otherwise a number in (0, 1].

    Raises:
        SettingsError: it is neither.
    """
    if text == "auto":
        return None
    try:
        ratio = float(text)
    except ValueError:
        raise SettingsError(f"downsample ratio {text!r} is not a number: write 'auto' or such as 0.4") from None
    _check_ratio(ratio)
    return ratio


def _check_ratio(ratio: float | None) -> None:
    require(
        ratio is None or 0.0 < ratio <= 1.0,
        f"downsample ratio {ratio} is out of range: it must be above 0 and at most 1 (or 'auto')",
    )


def _check_class(kind: str, name: str) -> None:
    require(
        _CLASS.fullmatch(name) is not None,
        f"unknown {kind} {name!r}: write auto, a name, or package.module:Class",
    )


def _check_address(source: str) -> None:
    """Refuse a URL that cannot be parsed; the message does not repeat it, because it may contain a password."""
    if not _ADDRESS.match(source):
        return
    try:
        _ = urlsplit(source).port
    except ValueError:
        raise SettingsError("the source's address cannot be read: check its host and port") from None


@dataclass(frozen=True)
class EngineSettings:
    """How to estimate mattes.

    Attributes:
        engine: ``auto``, a name from the registry, or ``package.module:Class``.
        model: ``mobilenetv3`` or ``resnet50``; ignored where the weights file decides. None: mobilenetv3.
        weights: file or folder; None: ``RVM_LIVE_WEIGHTS``, else the cache, else the official release.
        device: ``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N``; with OpenVINO ``intel-gpu``, ``intel-gpu:N`` or
            ``npu``.
        precision: ``auto``, ``fp32``, ``fp16`` (on a GPU), or with OpenVINO ``bf16`` (on a CPU that has it) or ``int8``
            (once calibrated).
        downsample_ratio: in (0, 1], or None (``auto`` is taken, too) for the published rule,
            ``min(512 / max(H, W), 1)``.
        foreground: the colours of the composites. ``model``: the person's as estimated, without spill;
            ``source``: the frame's own; then alpha alone is asked for, and an engine that can save the rest leaves
            :attr:`~rvm_live.core.frames.Matte.foreground` None.
        steady: average alpha over time where nothing moves (:mod:`rvm_live.engines.smoothing`); None: with ``lite``.
        box: process only a box around the person (:mod:`rvm_live.engines.focus`); None: the whole
            picture.
        gate: run the network only when something has moved; None: where it has to keep up with live video.
        offline: never go to the network for weights.
        repeatable: a GPU gives the same bytes in every run, at some cost in speed; for files.
        key: for ``chroma``: the screen's colour (:func:`rvm_live.core.colors.parse_color`); None: found.
        camera: identity of the camera: ``lite`` uses what it has learnt with it (``rvm-live learn``); None: no.
        require_licence: families of licences (:data:`LICENCES`); an engine whose code or weights are under another
            one, or an unknown one, is refused before it is made. Empty: all of them.
        keep_up: for live video: where no ratio is given, an engine may take less than the published one if this
            machine, as busy as it is now, would not keep up with that. Else it depends on the size of the frame alone.
        fallback_lite: then ``auto`` may also change from RVM to ``lite`` where RVM's smallest size does not keep 24
            frames a second, and back.
    """

    engine: EngineName = "auto"
    model: Model | str | None = None
    weights: Path | None = None
    device: DeviceName = "auto"
    precision: Precision | str = "auto"
    downsample_ratio: float | None = None
    foreground: Foreground | str = "model"
    steady: bool | None = None
    box: bool | None = None
    gate: bool | None = None
    offline: bool = False
    repeatable: bool = False
    keep_up: bool = False
    fallback_lite: bool = True
    key: str | None = None
    camera: CameraInUse | None = None
    require_licence: tuple[str, ...] = ()

    @property
    def box_wanted(self) -> bool:
        """Whether to use a box: only if it is asked for."""
        return bool(self.box)

    @property
    def gate_wanted(self) -> bool:
        """``gate``, decided."""
        return self.keep_up if self.gate is None else self.gate

    @classmethod
    def of(cls, options: EngineOptions) -> EngineSettings:
        """From the keywords of a call.

        Raises:
            SettingsError: one is out of range or unknown.
        """
        given: dict[str, Any] = dict(options)
        weights = given.get("weights")
        return cls(**{**given, "weights": Path(weights) if isinstance(weights, str | os.PathLike) else weights})

    def __post_init__(self) -> None:
        ratio: object = self.downsample_ratio
        if ratio == "auto":  # "auto" is allowed, as on the command line
            object.__setattr__(self, "downsample_ratio", None)
        check_fields(self)
        require(bool(self.engine), "the engine's name is empty")
        _check_class("engine", self.engine)
        if self.model is not None:
            check_choice("model", self.model, MODELS)
        require(
            _DEVICE.fullmatch(self.device) is not None,
            f"unknown device {self.device!r}: choose auto, cpu, mps, cuda, cuda:N, intel-gpu or npu",
        )
        check_choice("precision", self.precision, get_args(Precision))
        if self.key is not None:
            parse_color(self.key)
        for licence in self.require_licence:
            require(
                licence in LICENCES,
                f"unknown licence {licence!r} for --require-licence: choose from {', '.join(LICENCES)}",
            )
        _check_ratio(self.downsample_ratio)
        require(
            self.foreground in get_args(Foreground),
            f"unknown foreground {self.foreground!r}: choose model or source",
        )


@dataclass(frozen=True)
class SourceSettings:
    """Where frames come from and how they are asked for.

    Attributes:
        source: ``auto``, ``demo``, a camera's index or name, a path, a URL, a plug-in's name, or
            ``package.module:Class``, either with ``:argument`` behind it.
        width: pixels asked of a camera and of the demo (1280 where None); files and streams keep their own size
            unless width or height is given, then they are scaled to fit inside it.
        height: likewise (720 where None).
        fps: frames per second asked of a camera and of the demo.
        fourcc: pixel format asked of a camera, four characters.
        loop: a file starts over at its end.
        realtime: a file plays at its own rate; otherwise as fast as it is read.
        mirror: flip left and right, for all outputs.
        wait: a camera or stream that is not there yet is waited for.
        argument: what follows a plug-in source's name, such as ``2`` in ``grabber:2``.
    """

    source: str = "auto"
    width: int | None = None
    height: int | None = None
    fps: float = 60.0
    fourcc: str = "MJPG"
    loop: bool = False
    realtime: bool = True
    mirror: bool = False
    wait: bool = False
    argument: str = ""

    def __post_init__(self) -> None:
        check_fields(self)
        require(bool(self.source.strip()), "the source's name is empty")
        _check_address(self.source)
        for name, side in (("width", self.width), ("height", self.height)):
            require(
                side is None or 16 <= side <= MAX_SIDE,
                f"{name} {side} is out of range: it must be between 16 and {MAX_SIDE} pixels",
            )
        require(1.0 <= self.fps <= MAX_FPS, f"fps {self.fps:g} is out of range: it must be between 1 and {MAX_FPS:g}")
        require(
            len(self.fourcc) == 4 and self.fourcc.isascii(),
            f"fourcc {self.fourcc!r} must be four characters, such as MJPG or YUYV",
        )


@dataclass(frozen=True)
class LiveSettings:
    """Everything ``rvm-live`` takes on its command line.

    Attributes:
        source: where frames come from.
        engine: how mattes are estimated.
        adaptive: in live video, change the downsample ratio so that matting keeps up; a ratio set by the user stays.
        learned: ``lite`` uses what it has learnt with this camera, if anything.
        scene_reset: forget the matting state at a cut.
        low_light: ``auto``: make dark pictures brighter and less noisy; ``off``: leave them as they are.
        compositor: ``auto`` or a name from the registry.
        backgrounds: specifications such as ``blur:25``; the first is shown first. Empty: the built-in ones.
        display: view shown first, one of :data:`DISPLAY_MODES`.
        statistics: statistics shown over the picture at first, one of :data:`STATISTICS`.
        mirror: mirror the picture in the window; None: if it comes from a camera.
        follow: all people together stay in the middle of the picture.
        zoom: size of the person; with ``follow`` 1 is 80 % of the picture's height.
        shift: how far the person is moved right and down, as parts of the picture's size.
        look: how the person is to fit the background.
        only_me: only one person stays in the picture.
        person: which: ``largest``, ``left``, ``right``, or a place in the frame, ``0.3,0.5``.
        chair: ``keep``: things of the room stay in the picture, or ``drop``.
        away: specification of a picture that is shown in place of the background alone, or None.
        headless: open no window.
        fullscreen: start in full screen.
        record: file or folder to write, or None.
        streams: URLs that the result is sent to, such as ``rtmp://host/app/key``.
        stream_bitrate: of a stream's picture, kbit/s, not for WHIP; None: chosen by its size and rate.
        sinks: more places where composites go, a name from the registry or ``package.module:Class``, either with
            ``:argument`` behind it.
        web: where the page is served, ``HOST:PORT``; None: nowhere.
        web_origins: addresses under which a proxy serves the page, ``https://cam.example.org``.
        open_page: open it in a browser.
        virtual_camera: what other programs see the result as, ``auto`` for all that work here, ``pipewire``,
            ``v4l2loopback``, ``obs`` or a device; None: nothing.
        virtual_camera_size: one of :data:`CAMERA_SIZES`, into which the picture is fitted; None: as the source.
        always: camera and engine run even while nobody watches.
        audio: microphone whose sound is recorded beside the picture, ``default`` for the system's own, or None: nothing
            is heard.
        frames: stop after this many frames were shown, or None.
        duration: stop after this many seconds, or None.
        stats_json: file for the final report, or None.
        remember: start as the last run ended, and store how this one ends.
        said: controls that were set for this run, which :attr:`remember` does not change.
    """

    source: SourceSettings = SourceSettings()
    engine: EngineSettings = EngineSettings()
    adaptive: bool = True
    learned: bool = True
    scene_reset: bool = True
    low_light: str = LOW_LIGHT[0]
    compositor: str = "auto"
    backgrounds: tuple[str, ...] = ()
    display: str = DISPLAY_MODES[0]
    statistics: str = STATISTICS[0]
    mirror: bool | None = None
    follow: bool = False
    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    look: Look = field(default_factory=Look)
    only_me: bool = False
    person: str = PEOPLE[0]
    chair: str = CHAIR[0]
    away: str | None = None
    headless: bool = False
    fullscreen: bool = False
    record: str | None = None
    streams: tuple[str, ...] = ()
    stream_bitrate: int | None = None
    sinks: tuple[str, ...] = ()
    web: str | None = None
    web_origins: tuple[str, ...] = ()
    open_page: bool = False
    virtual_camera: str | None = None
    virtual_camera_size: tuple[int, int] | None = None
    always: bool = False
    audio: str | None = None
    frames: int | None = None
    duration: float | None = None
    stats_json: Path | None = None
    remember: bool = False
    said: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        _check_class("compositor", self.compositor)
        check_choice("display mode", self.display, DISPLAY_MODES)
        check_choice("statistics", self.statistics, STATISTICS)
        check_choice("low light", self.low_light, LOW_LIGHT)
        require(
            self.web is not None or not (self.open_page or self.web_origins),
            "--open and --web-origin need the page: add --web",
        )
        if self.virtual_camera is not None:
            require(
                bool(self.virtual_camera.strip()),
                "the virtual camera's name is empty: write --virtual-camera without a value for auto",
            )
            require(self.source.realtime, "a virtual camera needs live video: leave out --no-realtime")
        known = ", ".join(f"{width}x{height}" for width, height in CAMERA_SIZES)
        require(self.virtual_camera_size in (None, *CAMERA_SIZES), f"a virtual camera can have these sizes: {known}")
        Framing(self.follow, self.zoom, self.shift)
        parse_person(self.person)
        check_choice("chair", self.chair, CHAIR)
        if self.audio is not None:
            require(
                bool(self.audio.strip()),
                "the microphone's name is empty: write --audio without a value for the default microphone",
            )
            require(self.source.realtime, "--audio records live sound: leave out --no-realtime")
            require(
                self.record is not None or bool(self.streams) or not self.headless or self.web is not None,
                "--audio needs an output for the sound: add --record or --stream",
            )
        require(not self.streams or self.source.realtime, "--stream needs live video: leave out --no-realtime")
        require(
            self.stream_bitrate is None or 100 <= self.stream_bitrate <= 100_000,
            f"stream bitrate {self.stream_bitrate} is out of range: it must be between 100 and 100000 kbit/s",
        )
        require(self.frames is None or self.frames >= 1, f"frames {self.frames} is out of range: at least 1")
        require(
            self.duration is None or 0 < self.duration < 1e9,
            f"duration {self.duration} is out of range: it must be above 0 seconds",
        )

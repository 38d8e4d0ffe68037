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
"""A name of the registry, that of a plug-in, or ``package.module:Class``."""
DeviceName: TypeAlias = "Literal['auto', 'cpu', 'mps', 'cuda', 'intel-gpu', 'npu'] | str"
"""Or ``cuda:N``, ``intel-gpu:N``."""
Precision: TypeAlias = Literal["auto", "fp32", "fp16", "bf16", "int8"]
Model: TypeAlias = Literal["mobilenetv3", "resnet50"]
Foreground: TypeAlias = Literal["model", "source"]

DISPLAY_MODES = ("result", "comparison", "matte")
"""In the order in which the ``o`` key goes through them; the first is the default and shows no camera pixel."""
STATISTICS = ("line", "table", "off")
"""What the window tells over the picture: a line in a corner, the table with every stage, nothing."""
CAMERA_SIZES = ((640, 360), (1280, 720), (1920, 1080))
"""What a virtual camera may have, width and height in pixels: all that its makers on every system take."""


class EngineOptions(TypedDict, total=False):
    """What :func:`rvm_live.open_engine` takes, and with it every call that opens an engine; told there."""

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
        raise SettingsError(f"downsample ratio {text!r} is neither 'auto' nor a number") from None
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
    """Refuse a URL that cannot be taken apart; it is not repeated, since it may hold a password."""
    if not _ADDRESS.match(source):
        return
    try:
        _ = urlsplit(source).port
    except ValueError:
        raise SettingsError("the source's address cannot be read: are its host and its port right?") from None


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
        foreground: whose colours the composites have. ``model``: the person's as they are estimated, free of spill;
            ``source``: the frame's own; then alpha alone is asked for, and an engine that can save the rest leaves
            :attr:`~rvm_live.core.frames.Matte.foreground` None.
        steady: a mean over time where nothing moves (:mod:`rvm_live.engines.smoothing`); None: with ``lite``.
        box: the network looks at a box around the person (:mod:`rvm_live.engines.focus`); None: it looks at the
            whole picture.
        gate: the network looks only when something moved; None: where it has to keep up with live video.
        offline: never go to the network for weights.
        repeatable: a GPU gives the same bytes in every run, at some speed: for files.
        key: for ``chroma``: the screen's colour (:func:`rvm_live.core.colors.parse_color`); None: found.
        camera: whose pictures come: ``lite`` uses what it has learnt before it (``rvm-live learn``). None: it does not.
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
        """``box``, decided: only where it is asked for."""
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
        if ratio == "auto":  # as on the command line
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
                f"unknown licence {licence!r} for --require-licence: choose of {', '.join(LICENCES)}",
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
        mirror: flip left and right, in all that is made of it.
        wait: a camera or stream that is not there yet is waited for.
        argument: what stood behind the name of a source of a plug-in, ``2`` of ``grabber:2``.
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
        adaptive: in real time, move the downsample ratio so that matting keeps up; a ratio of the user's stays.
        learned: ``lite`` uses what it has learnt before the camera, where it has.
        scene_reset: forget the matting state at a cut.
        low_light: ``auto``: dark pictures are made brighter and less noisy; ``off``: they are left as they come.
        compositor: ``auto`` or a name from the registry.
        backgrounds: specifications such as ``blur:25``; the first is shown first. Empty: the built-in ones.
        display: view shown first, one of :data:`DISPLAY_MODES`.
        statistics: what the window tells over the picture at first, one of :data:`STATISTICS`.
        mirror: the window shows the picture as a mirror does; None: where a camera gives it.
        follow: all people together stay in the middle of the picture.
        zoom: how much larger the person is; with ``follow`` 1 is 80 % of the picture's height.
        shift: how far the person is moved, to the right and down, in pictures.
        look: how the person is to fit the background.
        only_me: one person alone stays in the picture.
        person: which: ``largest``, ``left``, ``right``, or a place in the frame, ``0.3,0.5``.
        chair: ``keep``: things of the room stay in the picture, or ``drop``.
        away: specification of a picture that is shown in place of the background alone, or None.
        headless: open no window.
        fullscreen: start in full screen.
        record: file or folder to write, or None.
        streams: addresses that the result is sent to, such as ``rtmp://host/app/key``.
        stream_bitrate: of a stream's picture, kbit/s, but by WHIP; None: by its size and rate.
        sinks: more places where composites go, a name from the registry or ``package.module:Class``, either with
            ``:argument`` behind it.
        web: where the page is served, ``HOST:PORT``; None: nowhere.
        web_origins: pages of a proxy in front of it, ``https://cam.example.org``.
        open_page: open it in a browser.
        virtual_camera: what other programs see the result as, ``auto`` for all that work here, ``pipewire``,
            ``v4l2loopback``, ``obs`` or a device; None: nothing.
        virtual_camera_size: one of :data:`CAMERA_SIZES`, into which the picture is fitted; None: as the source.
        always: camera and engine keep running while nobody watches, too.
        audio: microphone whose sound is recorded beside the picture, ``default`` for the system's own, or None: nothing
            is heard.
        frames: stop after this many frames were shown, or None.
        duration: stop after this many seconds, or None.
        stats_json: file for the final report, or None.
        remember: begin as the run before ended, and keep for the next one how this one ends.
        said: controls that were asked for in this run, which :attr:`remember` leaves alone.
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
            "--open and --web-origin are for the page: add --web",
        )
        if self.virtual_camera is not None:
            require(
                bool(self.virtual_camera.strip()), "the virtual camera's name is empty: --virtual-camera alone is auto"
            )
            require(self.source.realtime, "a virtual camera is live: leave out --no-realtime")
        known = ", ".join(f"{width}x{height}" for width, height in CAMERA_SIZES)
        require(self.virtual_camera_size in (None, *CAMERA_SIZES), f"a virtual camera has one of these sizes: {known}")
        Framing(self.follow, self.zoom, self.shift)
        parse_person(self.person)
        check_choice("chair", self.chair, CHAIR)
        if self.audio is not None:
            require(bool(self.audio.strip()), "the microphone's name is empty: --audio alone takes the system's own")
            require(self.source.realtime, "--audio records what is heard while it runs: leave out --no-realtime")
            require(
                self.record is not None or bool(self.streams) or not self.headless or self.web is not None,
                "--audio records a microphone beside the picture: say where to, with --record or --stream",
            )
        require(not self.streams or self.source.realtime, "--stream sends what happens now: leave out --no-realtime")
        require(
            self.stream_bitrate is None or 100 <= self.stream_bitrate <= 100_000,
            f"stream bitrate {self.stream_bitrate} is out of range: 100 to 100000 kbit/s",
        )
        require(self.frames is None or self.frames >= 1, f"frames {self.frames} is out of range: at least 1")
        require(
            self.duration is None or 0 < self.duration < 1e9,
            f"duration {self.duration} is out of range: it must be above 0 seconds",
        )

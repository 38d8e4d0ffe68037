"""HDR and wide-gamut pictures in BT.709's colours.

HDR is brought down by ITU-R BT.2390's curve (its EETF), from a display of 1000 cd/m2, the most that HLG and nearly all
PQ material is made for, to one whose white is HDR's reference white, 203 cd/m2 (ITU-R BT.2408). What an SDR camera
would have shown keeps its colours up to half of white; above that, lights are compressed rather than clipped. The curve
takes the brightest of red, green and blue and scales all three, so that hues stay. Colours that BT.709 does not have
are clipped at its edge (ITU-R BT.2407, hard clipping).

All of that is one table from colours to colours, applied by FFmpeg's ``haldclut``, which mixes up the planes of integer
formats, and is correct and fast on ``float``.
"""

from __future__ import annotations

import threading
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import av.filter
import numpy as np
from numpy.typing import NDArray

__all__ = ["Kind", "kind_of", "toned"]

_Numbers = NDArray[np.float64]

_PQ, _HLG = 16, 18  # transfer characteristics by their numbers in ISO/IEC 23091-2
_BT2020, _DCI_P3, _DISPLAY_P3 = 9, 11, 12  # primaries, from the same standard

_UNTOLD = {"colorspace": 2, "color_range": 0, "color_trc": 2, "color_primaries": 2}

_PEAK, _WHITE = 1000.0, 203.0  # cd/m2
_GAMMA = 2.4  # of an SDR display, ITU-R BT.1886

# ITU-R BT.2087, and the same for P3's primaries (SMPTE EG 432-1) with the white of BT.709.
_TO_BT709 = {
    "BT.2020": np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]),
    "P3": np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]]),
}
_NODES = 49  # table nodes along each colour; the square of an integer


class Kind(NamedTuple):
    """Colour space of a picture's values.

    Attributes:
        curve: ``PQ``, ``HLG`` (ITU-R BT.2100), or ``SDR``.
        gamut: ``BT.2020`` or ``P3``.
    """

    curve: str
    gamut: str

    def __str__(self) -> str:
        if self.curve == "SDR":
            return f"wide colours ({self.gamut}), converted to BT.709"
        return f"HDR ({self.curve}, {self.gamut}), tone-mapped to BT.709"


def kind_of(frame: Any) -> Kind | None:
    """The kind of a PyAV frame; None if its colours are BT.709 or similar, or unknown."""
    gamut = {_BT2020: "BT.2020", _DCI_P3: "P3", _DISPLAY_P3: "P3"}.get(frame.color_primaries, "")
    curve = {_PQ: "PQ", _HLG: "HLG"}.get(frame.color_trc, "SDR")
    if curve != "SDR":
        return Kind(curve, gamut or "BT.2020")
    return Kind(curve, gamut) if gamut else None


def toned(frame: Any, kind: Kind, white: float = 1.0) -> Any:
    """Bring a picture into BT.709's colours.

    Args:
        frame: a PyAV frame of the format ``gbrpf32le``.
        kind: what its numbers mean.
        white: the largest of its numbers.

    Returns:
        A frame like it.
    """
    key = (frame.width, frame.height, kind, white)
    if getattr(_here, "key", None) != key:
        _here.table, _here.key = _Table(*key), key
    table: _Table = _here.table
    return table.applied(frame)


_here = threading.local()


class _Table:
    """FFmpeg's filter with one table, for frames of one size."""

    def __init__(self, width: int, height: int, kind: Kind, white: float) -> None:
        values = _table(kind, white)
        self._graph: Any = av.filter.Graph()
        self._time_base = Fraction(1, 1000)
        self._count = 0
        self._frames = self._input(width, height)
        table = self._input(values.shape[1], values.shape[0])
        filtered = self._graph.add("haldclut", "clut=first:interp=tetrahedral")
        self._sink = self._graph.add("buffersink")
        self._frames.link_to(filtered, 0, 0)
        table.link_to(filtered, 0, 1)
        filtered.link_to(self._sink)
        self._graph.configure()
        drawn = av.VideoFrame.from_ndarray(values, format="rgb48le").reformat(format="gbrpf32le")
        self._push(table, drawn)
        table.push(None)

    def applied(self, frame: Any) -> Any:
        self._push(self._frames, frame)
        return self._sink.pull()

    def _input(self, width: int, height: int) -> Any:
        return self._graph.add_buffer(width=width, height=height, format="gbrpf32le", time_base=self._time_base)

    def _push(self, into: Any, frame: Any) -> None:
        """Pass a frame to the filter with a running number and without tags that the filter could act on; the frame
        keeps its own."""
        taken = {"pts": self._count, "time_base": self._time_base, **_UNTOLD}
        own = {name: getattr(frame, name) for name in taken}
        self._count += 1
        for name, value in taken.items():
            setattr(frame, name, value)
        into.push(frame)
        for name, value in own.items():
            if value is not None:  # a frame that was never in a file has no time base, and None cannot be set
                setattr(frame, name, value)


@lru_cache(maxsize=4)
def _table(kind: Kind, white: float) -> NDArray[np.uint16]:
    """The table as haldclut reads it, uint16 (343, 343, 3) RGB; red changes quickest."""
    steps = np.minimum(np.linspace(0, 1 / white, _NODES), 1)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    values = _sdr(np.stack([red, green, blue], axis=-1), kind)
    side = round(_NODES**1.5)
    return np.round(values * 65535).astype(np.uint16).reshape(side, side, 3)


def _sdr(rgb: _Numbers, kind: Kind) -> _Numbers:
    """(..., 3) R'G'B' of that kind, 0 to 1, to R'G'B' of BT.709."""
    if kind.curve == "SDR":
        light = rgb**_GAMMA @ _TO_BT709[kind.gamut].T
    else:
        light = np.maximum((_pq_light if kind.curve == "PQ" else _hlg_light)(rgb) @ _TO_BT709[kind.gamut].T, 0)
        brightest = np.maximum(light.max(axis=-1, keepdims=True), 1e-6)
        light *= _pressed(brightest) / brightest / _WHITE
    result: _Numbers = np.clip(light, 0, 1) ** (1 / _GAMMA)
    return result


def _pressed(light: _Numbers) -> _Numbers:
    """ITU-R BT.2390-11, 5.4.1, without a black to lift: cd/m2 on a display of 1000 to cd/m2 on one of 203."""
    top = _pq(np.array(_PEAK))
    value = np.minimum(_pq(light) / top, 1)
    most = _pq(np.array(_WHITE)) / top
    knee = 1.5 * most - 0.5
    t = np.maximum(value - knee, 0) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * most
    return _pq_light(np.where(value < knee, value, spline) * top)


# ITU-R BT.2100, table 4.
_M1, _M2, _C1, _C2, _C3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875


def _pq_light(value: _Numbers) -> _Numbers:
    """Perceptual quantiser to cd/m2."""
    power = value ** (1 / _M2)
    result: _Numbers = 10_000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)
    return result


def _pq(light: _Numbers) -> _Numbers:
    """The inverse."""
    power = (light / 10_000) ** _M1
    result: _Numbers = ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
    return result


def _hlg_light(value: _Numbers) -> _Numbers:
    """Hybrid log-gamma to cd/m2 on a display of 1000 (ITU-R BT.2100, table 5: its OOTF has the exponent 1.2)."""
    scene = np.where(value <= 0.5, value**2 / 3, (np.exp((value - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    luminance = np.maximum(scene @ np.array([0.2627, 0.6780, 0.0593]), 1e-9)
    result: _Numbers = _PEAK * luminance[..., None] ** 0.2 * scene
    return result

"""Which codecs a batch run writes, in which containers, and the hardware that encodes them."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from rvm_live.core.errors import SettingsError
from rvm_live.media.encoder import Recipe
from rvm_live.media.hardware_encoders import why_not
from rvm_live.media.suffixes import MUXERS

__all__ = ["ALPHA_CONTAINERS", "CODECS", "FITTING", "recipe_for"]

_QP2LAMBDA = 118
# Two runs make the same bytes, also on machines of other sizes: where the number of threads changes them, it is fixed.
# (For pictures of less than about 600 pixels x264 and x265 read memory that was never written, and results may differ
# by a bit.)
_X264 = {"preset": "medium", "crf": "17", "threads": "4"}
_X265 = {"preset": "medium", "crf": "20", "x265-params": "log-level=error:frame-threads=2"}
_AV1 = {"preset": "8", "crf": "26"}
_PRORES = {"profile": "4444", "global_quality": str(2 * _QP2LAMBDA)}
_VP9 = {"deadline": "good", "cpu-used": "4", "crf": "20", "row-mt": "1", "auto-alt-ref": "0"}
_FFV1 = {"level": "3", "slicecrc": "1", "slices": "4"}

_FAST_START = {"movflags": "+faststart"}

CODECS = {
    "h264": Recipe("", "libx264", "yuv420p", even=True, options=_X264),
    "hevc": Recipe("", "libx265", "yuv420p", even=True, options=_X265),
    "av1": Recipe("", "libsvtav1", "yuv420p", even=True, options=_AV1),
    "prores": Recipe(
        "", "prores_ks", "yuv444p10le", "yuva444p10le", "yuv444p10le", options=_PRORES,
        clear_options={"alpha_bits": "16"}, seekable=False,
    ),
    "ffv1": Recipe("", "ffv1", "bgr0", "bgra", "gray", options=_FFV1, seekable=False),
    "vp9": Recipe("", "libvpx-vp9", "yuv420p", "yuva420p", even=True, options=_VP9),
}  # fmt: skip
"""Name -> how it is encoded in software; the container is filled in by :func:`recipe_for`."""

FITTING = {
    "mp4": ("h264", "hevc", "av1"),
    "mov": ("prores", "h264", "hevc"),
    "mkv": ("ffv1", "h264", "hevc", "av1"),
    "webm": ("vp9", "av1"),
}
"""Container -> its codecs, the usual one first."""

ALPHA_CONTAINERS = ("mov", "mkv", "webm", "gif", "webp", "png", "tiff", "exr")
"""Codecs that keep alpha: ProRes 4444, FFV1 (without loss), VP9, GIF (clear or opaque), WebP, PNG, TIFF and EXR
(without loss)."""


@dataclass(frozen=True)
class _Maker:
    """A family of hardware encoders: the end of its names, pixel format, options."""

    suffix: str
    form: str
    options: dict[str, str]


_MAKERS = (
    _Maker("_nvenc", "yuv420p", {"preset": "p5", "rc": "vbr", "cq": "19", "b:v": "0"}),
    _Maker("_qsv", "nv12", {"preset": "medium", "global_quality": "19"}),
    _Maker("_amf", "nv12", {"quality": "quality", "rc": "cqp", "qp_i": "19", "qp_p": "21"}),
    _Maker("_videotoolbox", "nv12", {"flags": "+qscale", "global_quality": str(65 * _QP2LAMBDA)}),
)


_VIDEOTOOLBOX = _MAKERS[-1].options
_HEVC_WITH_ALPHA = (
    # VideoToolbox makes an alpha layer if the pictures have alpha and a quality is set for it.
    Recipe(
        "", "hevc_videotoolbox", "nv12", "bgra", "nv12", even=True, options=_VIDEOTOOLBOX,
        clear_options={"alpha_quality": "1.0"}, converts=True,
    ),
    replace(CODECS["hevc"], clear="yuva420p"),  # few builds of x265 support it
)  # fmt: skip
"""HEVC encoders that support alpha; the first that works here is used."""


def recipe_for(
    container: str, codec: str, *, hardware: bool = False, size: tuple[int, int] = (1280, 720), clear: bool = False
) -> tuple[Recipe, list[str]]:
    """How to write a container.

    Args:
        container: a key of :data:`FITTING`.
        codec: a name in :data:`CODECS`, or ``auto``: the container's usual one.
        hardware: let a GPU encode, where one can.
        size: of the pictures, which may be too large or too small for the hardware.
        clear: the pictures have alpha; where the codec has none, the recipe's ``clear`` is None.

    Returns:
        The recipe, and notes.

    Raises:
        SettingsError: the container cannot store the codec, or no encoder here keeps alpha.
    """
    name = FITTING[container][0] if codec == "auto" else codec
    if name not in FITTING[container]:
        raise SettingsError(f"{name} cannot be stored in {container}: choose from {', '.join(FITTING[container])}")
    recipe = replace(CODECS[name], muxer=MUXERS[container])
    if name == "av1":
        os.environ.setdefault("SVT_LOG", "1")  # errors only; the encoder prints a lot
    if container == "mp4":
        recipe = replace(recipe, container_options=_FAST_START)
    if name == "hevc" and container in ("mp4", "mov"):
        recipe = replace(recipe, tag="hvc1")  # the tag that Apple's players look for
    if clear and name == "hevc" and container == "mov":
        return replace(_hevc_with_alpha(size), muxer=recipe.muxer, tag=recipe.tag), []
    if not hardware:
        return recipe, []
    reasons = []
    for maker in _MAKERS if name in ("h264", "hevc", "av1") else ():
        other = replace(recipe, codec=name + maker.suffix, opaque=maker.form, grey=maker.form, options=maker.options)
        reason = why_not(other.codec, maker.form, tuple(maker.options.items()), size)
        if reason is None:
            return other, []
        reasons.append(f"{other.codec}: {reason}")
    told = "; ".join(reasons) or f"no hardware here encodes {name}"
    return recipe, [f"encoded in software ({told})"]


def _hevc_with_alpha(size: tuple[int, int]) -> Recipe:
    """The first that works.

    Raises:
        SettingsError: none does.
    """
    reasons = []
    for recipe in _HEVC_WITH_ALPHA:
        options = {**recipe.options, **recipe.clear_options}
        reason = why_not(recipe.codec, recipe.clear or "", tuple(options.items()), size, clear=True)
        if reason is None:
            return recipe
        reasons.append(f"{recipe.codec}: {reason}")
    raise SettingsError(
        f"HEVC cannot store alpha here ({'; '.join(reasons)}): leave the codec out, or name a background"
    )

"""File suffixes of pictures and films: the one table for sources, backgrounds, batch and recordings."""

from __future__ import annotations

__all__ = ["ANIMATIONS", "CONTAINERS", "FILMS", "MUXERS", "PICTURES", "PICTURE_FORMATS", "RAW_PICTURES"]

PICTURES = frozenset(
    {".avif", ".bmp", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
"""Pictures. Animations may be called so, too: :func:`rvm_live.media.image_headers.moves` tells."""

RAW_PICTURES = frozenset({".dpx", ".exr", ".tga"})
"""Pictures that FFmpeg alone reads, as films of one frame; mostly numbered."""

FILMS = frozenset(
    {
        ".3gp", ".avi", ".dv", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf",
        ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
    }
)  # fmt: skip
"""Films; a file that is named is tried as one whatever it is called."""

MUXERS = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm"}
"""Containers of films that are written, called as their suffixes are -> FFmpeg's name of each."""

PICTURE_FORMATS = {"png": ".png", "tiff": ".tif", "exr": ".exr"}
"""Containers that are folders of pictures -> suffix of each."""

ANIMATIONS = {"gif": "gif", "webp": "webp"}
"""Short clips without sound, called as their suffixes are -> FFmpeg's name of each."""

CONTAINERS = {
    **{f".{name}": name for name in (*MUXERS, *ANIMATIONS)},
    **dict.fromkeys((".tif", ".tiff"), "tiff"),
    ".png": "png",
    ".exr": "exr",
}
"""Suffix of an output that is named -> its container."""

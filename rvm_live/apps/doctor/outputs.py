"""Checks the outputs of this machine: window, recordings, virtual cameras, plug-ins."""

from __future__ import annotations

from importlib.util import find_spec

from rvm_live.apps.doctor.finding import Finding
from rvm_live.core.registry import SINKS
from rvm_live.sinks.camera.outputs import outputs_here
from rvm_live.sinks.recording.video_file import RECIPES
from rvm_live.sinks.window.display import display_available
from rvm_live.system.installed import adding

__all__ = ["outputs"]

_AREA = "outputs"


def outputs() -> list[Finding]:
    """Each output. Where none of those that people look at works, the window is bad."""
    window, cameras = _window(), _virtual_cameras()
    if window.state == "absent" and not any(each.state in ("good", "note") for each in cameras):
        window = Finding(_AREA, window.name, "bad", window.detail, window.mend)
    plugged = [
        Finding(_AREA, f"--sink {name}", "note", "from a plug-in; it was not tested") for name in SINKS.plugins()
    ]
    return [window, _recordings(), *cameras, _page(), *plugged]


def _window() -> Finding:
    reason = display_available()
    if reason is None:
        return Finding(_AREA, "window", "good")
    return Finding(_AREA, "window", "absent", reason, "start it on a desktop, or use --headless --record FILE")


def _page() -> Finding:
    if find_spec("aiohttp") is None:
        return Finding(_AREA, "--web", "absent", "the page needs aiohttp", adding("web"))
    return Finding(
        _AREA, "--web", "good", "a page that shows and controls everything; OBS can use its /obs as a browser source"
    )


def _recordings() -> Finding:
    import av

    works, missing = [], []
    for suffix, recipe in RECIPES.items():
        try:
            av.codec.Codec(recipe.codec, "w")
            works.append(suffix)
        except (av.error.FFmpegError, ValueError):
            missing.append(f"{suffix} ({recipe.codec})")
    if not missing:
        return Finding(_AREA, "recordings", "good", ", ".join([*works, "folder/ of PNGs"]))
    lacking = f"this FFmpeg cannot encode {', '.join(missing)}"
    return Finding(
        _AREA, "recordings", "note", lacking, "pip install --force-reinstall av (its wheels include all of them)"
    )


def _virtual_cameras() -> list[Finding]:
    """Each way to be a camera in other programs."""
    return [
        Finding(
            _AREA,
            f"--virtual-camera={each.name}",
            "good" if each.works else "absent",
            each.why,
            each.mend,
            each.seen_by,
        )
        for each in outputs_here()
    ]

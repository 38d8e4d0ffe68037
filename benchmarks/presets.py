"""How fast ``rvm-live batch`` works at each of its presets, from one file to another.

    RVM_LIVE_WEIGHTS=path python -m benchmarks presets [--source demo|CLIP] [--frames 60] [--width 1920 --height 1080]

The clip is made before the clock starts. The time is from the file's first to its last progress report, which leaves
out the start. Missing weights are replaced by random ones, which are as fast. ``docs/scaling.md`` is computed from
these results.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.batch import BACKGROUND, clip_of, rate_of
from benchmarks.compare import grab, program_threads
from benchmarks.report import publish
from rvm_live.apps.batch.settings import PRESETS, BatchSettings, ratio_for
from rvm_live.apps.stress.loads import weights_for
from rvm_live.core.errors import RvmLiveError, UnavailableError
from rvm_live.core.settings import EngineSettings

COLUMNS = ("preset", "network", "ratio", "engine", "fps", "hours for an hour at 30 fps")
CONTAINER = "mp4"


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark.

    Raises:
        UnavailableError: no preset works.
    """
    parser = argparse.ArgumentParser("python -m benchmarks presets", description=__doc__)
    parser.add_argument("--source", default="demo")
    parser.add_argument("--width", type=int, default=1920)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--presets", nargs="*", default=["lite", *PRESETS])
    options = parser.parse_args(arguments)
    rows: list[tuple[Any, ...]] = []
    refusals: dict[str, str] = {}
    made_up: set[str] = set()
    with program_threads(), tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        frames = grab(options)
        clip = clip_of(scratch / "clip.mp4", [frame.image for frame in frames])
        size = (frames[0].width, frames[0].height)
        for name in options.presets:
            if name == "lite":
                preset, engine, ratio = PRESETS["standard"], EngineSettings("lite", device="cpu"), None
            else:
                preset = PRESETS[name]
                ratio = ratio_for(preset, *size)
                path, real = weights_for(preset.model, scratch)
                if not real:
                    made_up.add(preset.model)
                engine = EngineSettings(model=preset.model, weights=path)
            settings = BatchSettings(
                (str(clip),),
                scratch / name,
                "standard" if name == "lite" else name,
                engine,
                background=BACKGROUND,
                container=CONTAINER,
                force=True,
            )
            try:
                rate, ran = rate_of(settings)
            except RvmLiveError as error:
                refusals[name] = str(error)
                continue
            network = "lite" if name == "lite" else preset.model
            rows.append((name, network, ratio, ran, rate, 30 / rate))
    if not rows:
        raise UnavailableError("; ".join(refusals.values()))
    return publish(
        "presets",
        COLUMNS,
        rows,
        source=options.source,
        frames=len(frames),
        size=f"{options.width}x{options.height}",
        made_up=sorted(made_up),
        refusals=refusals,
    )

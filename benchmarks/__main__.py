"""``python -m benchmarks NAME [OPTIONS]`` runs one benchmark, ``all`` runs nearly all of them.

``performance`` writes their results into docs/performance.md, and ``scaling`` writes those of ``presets`` into
docs/scaling.md. ``all`` leaves out ``alternatives`` (needs a C++ compiler), ``first-minutes`` (needs Xvfb) and
``learn`` (takes an hour).
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from benchmarks.report import RESULTS, commanded
from rvm_live.core.errors import RvmLiveError, UnavailableError

NAMES = (
    *(
        "batch",
        "box",
        "check",
        "compare",
        "compositors",
        "cpu",
        "edges",
        "finishing",
        "gpu",
        "int8",
        "live",
        "low-light",
        "outputs",
        "people",
    ),
    *("pipeline", "presets", "quality", "rot", "screens", "threads", "window"),
)
ALONE = ("alternatives", "first-minutes", "learn")
PAGES = ("performance", "scaling")


def main() -> None:
    arguments, folder = sys.argv[1:], RESULTS
    if arguments[:1] == ["--results"] and len(arguments) > 1:
        folder, arguments = Path(arguments[1]), arguments[2:]
    if not arguments or arguments[0] not in (*NAMES, *ALONE, "all", *PAGES):
        choice = ",".join((*NAMES, *ALONE, "all", *PAGES))
        sys.exit(f"usage: python -m benchmarks [--results FOLDER] {{{choice}}} [options]")
    name, *rest = arguments
    if name in PAGES:
        import_module(f"benchmarks.{name}").write(folder)
        return
    for each in NAMES if name == "all" else (name,):
        try:
            with commanded(each, rest, folder):
                import_module(f"benchmarks.{each.replace('-', '_')}").run(rest)
        except UnavailableError as error:
            if name != "all":
                sys.exit(f"benchmark {each}: {error}")
            print(f"benchmark {each} was left out: {error}")
        except RvmLiveError as error:
            sys.exit(f"benchmark {each}: {error}")


if __name__ == "__main__":
    main()

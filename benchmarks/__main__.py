"""``python -m benchmarks NAME [OPTIONS]``; ``all`` runs every one."""

from __future__ import annotations

import sys
from importlib import import_module

from rvm_live.errors import RvmLiveError

NAMES = ("compositors", "cpu", "live", "pipeline")


def main() -> None:
    arguments = sys.argv[1:]
    if not arguments or arguments[0] not in (*NAMES, "all"):
        sys.exit(f"usage: python -m benchmarks {{{','.join((*NAMES, 'all'))}}} [options]")
    name, *rest = arguments
    for each in NAMES if name == "all" else (name,):
        try:
            import_module(f"benchmarks.{each}").run(rest)
        except RvmLiveError as error:
            sys.exit(f"benchmark {each}: {error}")


if __name__ == "__main__":
    main()

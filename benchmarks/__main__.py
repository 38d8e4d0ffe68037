"""``python -m benchmarks NAME [OPTIONS]``; ``all`` runs every one."""

from __future__ import annotations

import sys
from importlib import import_module

NAMES = ("compositors", "cpu", "live", "pipeline")


def main() -> None:
    arguments = sys.argv[1:]
    if not arguments or arguments[0] not in (*NAMES, "all"):
        sys.exit(f"usage: python -m benchmarks {{{','.join((*NAMES, 'all'))}}} [options]")
    name, *rest = arguments
    for each in NAMES if name == "all" else (name,):
        import_module(f"benchmarks.{each}").run(rest)


if __name__ == "__main__":
    main()

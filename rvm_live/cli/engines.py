"""``rvm-live engines``: each with its licences, what it needs, and whether it runs here."""

from __future__ import annotations

import json
from typing import Any

import click

from rvm_live.cli.options import engine_options, engine_settings
from rvm_live.cli.params import printable

__all__ = ["engines"]


@click.command()
@engine_options(
    weights={"help": "Weights to test the engines with: a file or a folder."},
    device={"help": "Device to test the engines on: auto, cpu, cuda, cuda:N or mps."},
    require_licence={"help": "Show which would be refused if only these licences are allowed: apache,mit,bsd."},
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def engines(as_json: bool, **options: Any) -> None:
    """List the engines: the licences of each and of its weights, what it needs, and whether it runs here.

    Each is opened once; nothing is downloaded. Exit code 1 if none of them runs or is allowed.
    """
    from rvm_live.apps.hwtest.machine import try_engines
    from rvm_live.core.errors import RvmLiveError
    from rvm_live.engines.licences import UNKNOWN, Licences, licences_of

    settings = engine_settings(options)
    rows: list[dict[str, Any]] = []
    for found in try_engines(settings):
        try:
            about = licences_of(found.name)
        except RvmLiveError:  # a plug-in that cannot be loaded; the table shows why
            about = Licences((UNKNOWN,), UNKNOWN, "see its package")
        rows.append(
            {
                "name": found.name,
                "licence": about.code_text,
                "weights_licence": about.weights,
                "needs": about.needs,
                "runs": found.works,
                "detail": found.detail,
            }
        )
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        _print(rows)
    click.get_current_context().exit(0 if any(row["runs"] for row in rows) else 1)


def _print(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        click.echo(row["name"])
        lines = {
            "code": row["licence"],
            "weights": row["weights_licence"],
            "needs": row["needs"],
            "here": f"{'runs' if row['runs'] else 'does not run'}: {row['detail']}",
        }
        for label, text in lines.items():
            click.echo(printable(f"  {label:<8} {text}"))

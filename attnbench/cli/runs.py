"""Commands that read what runs left: list, laws and report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnbench.cli.options import (
    complain,
    exit_on,
    fail_on_option,
    json_option,
    plugin_option,
    print_json,
    print_laws,
    reports_option,
    results_option,
    run_folder,
    say,
    writable,
)
from attnbench.errors import InputError, LayerError, near_miss

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from attnbench.layers.registry import Registry
    from attnbench.session.reading import Run

_KINDS = ("layers", "suites", "runs", "devices")


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(_KINDS))
@plugin_option
@results_option
@json_option
def list_(kind: str | None, plugins: tuple[str, ...], results: str, as_json: bool) -> None:
    """List layers and suites, or only what KIND says: layers, suites, runs or devices."""
    from attnbench.layers.registry import Registry

    kinds = (kind,) if kind else ("layers", "suites")
    registry = Registry(plugins)
    listed = {one: _rows(one, registry, Path(results)) for one in kinds}
    if as_json:
        print_json(listed[kind] if kind else listed)
        return
    from attnbench.terminal import Listing, console

    for one, rows in listed.items():
        say(one, bold=True)
        table = Listing("", "", indent=2)
        for row in rows or [{"name": "none yet"}]:
            table.add(str(row["name"]), " · ".join(str(v) for k, v in row.items() if k != "name" and v))
        console().print(table)


@click.command()
@click.argument("run")
@click.option("--claim", "claims", multiple=True, metavar="LAYER=FORMULA", help="Judge another claim for time instead.")
@fail_on_option
@results_option
@json_option
def laws(run: str, claims: tuple[str, ...], fail_on: str | None, results: str, as_json: bool) -> None:
    """Fit a run again from its tables and print its laws. RUN is a folder, or the name of one in the results."""
    from attnbench.session.judge import fit_laws
    from attnbench.session.reading import load

    loaded = load(run_folder(run, Path(results)))
    found = [*loaded.info.plan.shown_laws, *fit_laws(loaded, _claims(claims, loaded))]
    if as_json:
        print_json([law.as_json(curves=False) for law in found])
    else:
        print_laws(found)
    exit_on(fail_on, found)


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--all", "everything", is_flag=True, help="Every run in the results folder.")
@click.option("--open", "open_it", is_flag=True, help="Open it in a browser; of several, the list of runs.")
@results_option
@reports_option
@json_option
def report(runs: tuple[str, ...], everything: bool, open_it: bool, results: str, reports: str, as_json: bool) -> None:
    """Write the reports of runs again, and the list of runs beside them, and print their paths.

    A run that cannot be read costs its own line only; the exit code is 2 then.
    """
    if everything == bool(runs):
        raise InputError("name the runs to report, or give --all; `attnbench list runs` shows what there is")
    from attnbench.session.reading import index_reports
    from attnbench.store.run_info import runs_in

    target, many = writable(reports, "--reports"), everything or len(runs) > 1
    wanted = tuple(map(str, runs_in(Path(results)))) if everything else runs
    rows = list(_reported(wanted, Path(results), target, show=not as_json))
    pages = [row for row in rows if "report" in row]
    index = None
    if pages or everything:
        homes = {Path(row["run"]).parent for row in pages} | ({Path(results)} if everything else set())
        index = index_reports(sorted(homes), target)
    if as_json:
        print_json({"reports": rows, "index": index and str(index)})
    elif many and index:
        say(index)
    if open_it and index:
        click.launch(str(index) if many else pages[0]["report"])
    if len(pages) < len(rows):
        sys.exit(InputError.exit_code)


def _reported(runs: Sequence[str], results: Path, reports: Path, *, show: bool) -> Iterator[dict[str, str]]:
    """Each run with its page, told as soon as that is written, or with what is wrong with it."""
    from attnbench.report.page import write_report
    from attnbench.session.reading import load

    for run in runs:
        try:
            folder = run_folder(run, results)
            page = write_report(load(folder), reports)
        except InputError as error:
            complain(error)
            yield {"run": run, "error": str(error)}
            continue
        if show:
            say(page)
        yield {"run": str(folder), "report": str(page)}


def _rows(kind: str, registry: Registry, results: Path) -> list[dict[str, Any]]:
    if kind == "layers":
        rows = [{"name": n, "summary": registry.summary(n), "origin": registry.origin(n)} for n in registry.names]
        return rows + [{"name": origin, "broken": message} for origin, message in registry.broken.items()]
    if kind == "suites":
        from attnbench.spec import load_suite, shipped

        return [
            {"name": name, "title": load_suite(name).title, "question": load_suite(name).question} for name in shipped()
        ]
    if kind == "devices":
        from attnbench.measure.machine.host import devices

        return [{"name": device} for device in devices()]
    from attnbench.store.overview import run_rows

    return run_rows(results)


def _claims(texts: tuple[str, ...], run: Run) -> dict[str, str]:
    from attnbench.formula import Formula

    claims = {}
    for text in texts:
        layer, equals, formula = text.partition("=")
        if not equals:
            raise InputError(f"--claim {text}: write a layer and a formula, such as rnn=n*d**2")
        if layer not in run.info.plan.scopes:
            raise LayerError(f"--claim {text}: the run has no layer {layer!r}.{near_miss(layer, run.info.plan.scopes)}")
        claims[layer] = Formula(formula).text
        axes = {axis for trial in run.info.plan.trials if trial.layer == layer for axis in trial.sizes}
        if axes and (foreign := sorted(Formula(formula).axes - axes)):
            raise LayerError(
                f"--claim {text}: layer {layer!r} has no axis {foreign[0]!r}.{near_miss(foreign[0], axes)}"
            )
    return claims


COMMANDS = (list_, laws, report)

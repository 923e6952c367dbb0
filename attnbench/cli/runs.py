"""Commands about runs: run, plan, list, laws, report and export."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from attnbench.cli.options import (
    FAILING,
    fail_on_option,
    json_option,
    plugin_option,
    print_json,
    reports_option,
    results_option,
    run_folder,
)
from attnbench.errors import InputError, LayerError, RunError, near_miss, stopped_by
from attnbench.record import MEASURED_METRICS

if TYPE_CHECKING:
    from attnbench.law import Law
    from attnbench.layers.registry import Registry
    from attnbench.prepare import Plan
    from attnbench.session import Run

Command = TypeVar("Command", bound=Callable[..., Any])

_KINDS = ("layers", "suites", "runs", "devices")
_TABLES = ("records", "samples", "conditions", "laws")


run_options = [
    click.option("--layer", "layers", multiple=True, metavar="L", help="Only this layer (may be repeated)."),
    click.option("--device", "devices", multiple=True, metavar="D", help="cpu, cuda, cuda:1, mps, xpu or auto."),
    click.option("--budget", metavar="TIME", help="Clock for timing, such as 60s; counting is not in it."),
    click.option("--set", "sizes", multiple=True, metavar="AXIS=…", help="Sizes of an axis: n=128,256 or n=auto."),
    click.option("--seed", type=int, show_default="0", help="Of orders, weights and inputs."),
    plugin_option,
    results_option,
]


def with_run_options(command: Command) -> Command:
    """Everything that says what to run."""
    for option in reversed(run_options):
        command = option(command)
    return command


@click.command()
@click.option("--suite", metavar="NAME|FILE", help="A shipped suite (see `attnbench list suites`) or a TOML file.")
@with_run_options
@reports_option
@click.option("--resume", metavar="RUN", help="Continue an interrupted run.")
@click.option("--dry-run", is_flag=True, help="Count, calibrate, print the plan, and write nothing.")
@fail_on_option
@json_option
def run(
    suite: str | None, resume: str | None, dry_run: bool, fail_on: str | None, as_json: bool, **options: Any
) -> None:
    """Execute a suite: count, plan, measure, fit, judge and report."""
    if (suite is None) == (resume is None):
        raise InputError("give either --suite NAME|FILE or --resume RUN; `attnbench list suites` shows the suites")
    if resume is not None:
        _refuse_changes({**options, "dry_run": dry_run})
    results, reports = _writable(options.pop("results"), "--results"), _writable(options.pop("reports"), "--reports")
    finished = _resume(str(resume), results) if suite is None else _start(suite, options, results, dry_run, as_json)
    if finished is None:
        return
    page = finished.report(reports)
    if as_json:
        print_json(
            {
                "run": str(finished.path),
                "report": str(page),
                "laws": [law.as_json(curves=False) for law in finished.found_laws],
            }
        )
    else:
        _print_laws([law for law in finished.found_laws if law.metric in MEASURED_METRICS] or finished.found_laws)
        click.echo(f"\nrun     {finished.path}\nreport  {page}")
    if offending := _offending(finished.found_laws, fail_on):
        click.echo(f"--fail-on {fail_on}: {', '.join(offending)}", err=True)
        sys.exit(1)


@click.command()
@click.option("--suite", required=True, metavar="NAME|FILE", help="A shipped suite or a TOML file.")
@with_run_options
@json_option
def plan(suite: str, as_json: bool, **options: Any) -> None:
    """Print what a run would measure (the same as run --dry-run)."""
    options.pop("results")
    _start(suite, options, Path(), dry_run=True, as_json=as_json)


def _start(suite: str, options: dict[str, Any], results: Path, dry_run: bool, as_json: bool) -> Run | None:
    """Plan and measure; only plan and print, and return None, on a dry run."""
    from attnbench import prepare, session
    from attnbench.order import order
    from attnbench.terminal import RunView

    try:
        asked = order(suite, **options, command=_command_line())
        view = RunView(asked.suite.budget)
        with view:
            planned = prepare.make_plan(asked, view)
    except KeyboardInterrupt as stop:
        raise stopped_by(stop, "interrupted before the first measurement; nothing was written") from None
    with view:
        finished = None if dry_run else session.start(planned, results, view)
    if finished is None:
        _print_plan(planned, as_json)
    return finished


def _refuse_changes(options: dict[str, Any]) -> None:
    """A run is continued as it was ordered; anything else would be dropped without a word."""
    flags = {"layers": "--layer", "devices": "--device", "budget": "--budget", "sizes": "--set", "plugins": "--plugin"}
    flags |= {"seed": "--seed", "dry_run": "--dry-run"}
    if given := [flag for name, flag in flags.items() if options[name] or (name == "seed" and options[name] == 0)]:
        raise InputError(f"--resume continues a run as it was ordered; leave out {', '.join(given)}")


def _resume(run: str, results: Path) -> Run:
    from attnbench import session
    from attnbench.spec import from_mapping
    from attnbench.store import load_stored
    from attnbench.terminal import RunView

    folder = run_folder(run, results)
    info = load_stored(folder).info
    with RunView(from_mapping(info.suite, info.suite_name, str(folder / "run.json")).budget) as view:
        return session.resume(folder, view)


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
    for one, rows in listed.items():
        width = max((len(row["name"]) for row in rows), default=0)
        click.secho(one, bold=True)
        for row in rows:
            click.echo(f"  {row['name']:<{width}}  {' · '.join(str(v) for k, v in row.items() if k != 'name' and v)}")
        if not rows:
            click.echo("  none yet")


@click.command()
@click.argument("run")
@click.option("--claim", "claims", multiple=True, metavar="LAYER=FORMULA", help="Judge another claim for time instead.")
@results_option
@json_option
def laws(run: str, claims: tuple[str, ...], results: str, as_json: bool) -> None:
    """Fit a run again from its tables and print its laws. RUN is a folder, or the name of one in the results."""
    from attnbench import judging, session

    loaded = session.load(run_folder(run, Path(results)))
    found = [*loaded.info.shown_laws, *judging.fit_laws(loaded, _claims(claims, loaded))]
    if as_json:
        print_json([law.as_json(curves=False) for law in found])
    else:
        _print_laws(found)


@click.command()
@click.argument("run")
@click.option("--open", "open_it", is_flag=True, help="Open it in a browser.")
@results_option
@reports_option
def report(run: str, open_it: bool, results: str, reports: str) -> None:
    """Write a run's report again and print its path."""
    from attnbench import session

    loaded = session.load(run_folder(run, Path(results)))
    page = loaded.report(_writable(reports, "--reports"))
    click.echo(page)
    if open_it:
        click.launch(str(page))


@click.command()
@click.argument("run")
@click.option("--format", "form", type=click.Choice(["csv", "markdown"]), default="csv", show_default=True)
@click.option(
    "--table", type=click.Choice(["records", "samples", "conditions", "laws"]), default="records", show_default=True
)
@results_option
def export(run: str, form: str, table: str, results: str) -> None:
    """Print a table of a run on standard output."""
    from attnbench import session

    frame = getattr(session.load(run_folder(run, Path(results))), table)
    click.echo(frame.to_csv(index=False) if form == "csv" else session.markdown(frame), nl=False)


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
        from attnbench.measure.host import devices

        return [{"name": device} for device in devices()]
    from attnbench import session

    return session.run_rows(results)


def _claims(texts: tuple[str, ...], run: Run) -> dict[str, str]:
    from attnbench.formula import Formula

    claims = {}
    for text in texts:
        layer, equals, formula = text.partition("=")
        if not equals:
            raise InputError(f"--claim {text}: write a layer and a formula, such as rnn=n*d**2")
        if layer not in run.info.scopes:
            raise LayerError(f"--claim {text}: the run has no layer {layer!r}.{near_miss(layer, run.info.scopes)}")
        claims[layer] = Formula(formula).text
        axes = {axis for trial in run.info.trials if trial.layer == layer for axis in trial.sizes}
        if axes and (foreign := sorted(Formula(formula).axes - axes)):
            raise LayerError(
                f"--claim {text}: layer {layer!r} has no axis {foreign[0]!r}.{near_miss(foreign[0], axes)}"
            )
    return claims


def _offending(found: Sequence[Law], fail_on: str | None) -> list[str]:
    """Layers whose verdict is as bad as `fail_on` or worse."""
    return [f"{law.layer} {law.metric} {law.verdict}" for law in found if str(law.verdict) in FAILING.get(fail_on, ())]


def _writable(folder: str, option: str) -> Path:
    """Refuse a folder that cannot be made or written before anything is measured for it."""
    path = Path(folder)
    existing = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    if not existing.is_dir():
        raise RunError(f"{option} {folder}: {existing} is not a folder; choose another place")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise RunError(f"{option} {folder}: {existing} cannot be written; choose another place")
    return path


def _command_line() -> str:
    import shlex

    return shlex.join(["attnbench", *sys.argv[1:]])


def _print_laws(found: Sequence[Law]) -> None:
    from attnbench.terminal import console, laws_table

    console().print(laws_table(found))


def _print_plan(planned: Plan, as_json: bool) -> None:
    from attnbench.terminal import console, laws_table, plan_table
    from attnbench.trial import telling_apart

    if as_json:
        print_json(planned.as_json())
        return
    console().print(laws_table(planned.shown_laws))
    apart = telling_apart(subject.subject.choices for subject in planned.subjects)
    for subject in planned.subjects:
        told = apart[subject.subject.choices]
        click.echo(f"\n{subject.subject.layer.name}{f' ({told})' if told else ''}: {subject.why}")
    click.echo()
    console().print(plan_table(planned.subjects, planned.unsupported))


COMMANDS = (run, plan, list_, laws, report, export)

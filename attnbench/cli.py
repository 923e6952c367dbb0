"""The command line. Each command is a few lines that call the rooms; what is heavy is imported where it is used."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from attnbench.errors import AttnbenchError, InputError, LayerError, RunError, RunInterruptedError, near_miss
from attnbench.version import __version__

if TYPE_CHECKING:
    from attnbench.law import Law
    from attnbench.layers.registry import Registry
    from attnbench.session import Plan, Run

Command = TypeVar("Command", bound=Callable[..., Any])

_KINDS = ("layers", "suites", "runs", "devices")


class _Commands(click.Group):
    """Turns our errors and an interrupt into one line and an exit code, with nothing lost."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except AttnbenchError as error:
            failure = error
        except KeyboardInterrupt:
            failure = RunInterruptedError("interrupted; what was measured before is on disk")
        click.echo(f"Error: {' '.join(str(failure).split())}", err=True)
        return ctx.exit(failure.exit_code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="attnbench")
def main() -> None:
    """Count, time and judge the scaling laws of attention, recurrent and convolutional layers."""


plugin_option = click.option(
    "--plugin", "plugins", multiple=True, metavar="P", help="A file or module with a LAYER of yours."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
results_option = click.option(
    "--results", default="results", show_default=True, metavar="DIR", help="Folder of the run folders."
)
reports_option = click.option(
    "--reports", default="reports", show_default=True, metavar="DIR", help="Folder of the HTML reports."
)
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


@main.command()
@click.option("--suite", metavar="NAME|FILE", help="A shipped suite (see `attnbench list suites`) or a TOML file.")
@with_run_options
@reports_option
@click.option("--resume", metavar="RUN", help="Continue an interrupted run.")
@click.option("--dry-run", is_flag=True, help="Count, calibrate, print the plan, and write nothing.")
@click.option(
    "--fail-on", type=click.Choice(["refuted", "inconclusive"]), help="Exit with 1 on such a verdict or worse."
)
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
        _print_json(
            {"run": str(finished.path), "report": str(page), "laws": [law.as_json() for law in finished.found_laws]}
        )
    else:
        _print_laws([law for law in finished.found_laws if law.metric == "time"] or finished.found_laws)
        click.echo(f"\nrun     {finished.path}\nreport  {page}")
    if offending := _offending(finished.found_laws, fail_on):
        click.echo(f"--fail-on {fail_on}: {', '.join(offending)}", err=True)
        sys.exit(1)


@main.command()
@click.option("--suite", required=True, metavar="NAME|FILE", help="A shipped suite or a TOML file.")
@with_run_options
@json_option
def plan(suite: str, as_json: bool, **options: Any) -> None:
    """Print what a run would measure (the same as run --dry-run)."""
    options.pop("results")
    _start(suite, options, Path(), dry_run=True, as_json=as_json)


def _start(suite: str, options: dict[str, Any], results: Path, dry_run: bool, as_json: bool) -> Run | None:
    """Plan and measure; only plan and print, and return None, on a dry run."""
    from attnbench import session
    from attnbench.order import order
    from attnbench.terminal import RunView

    try:
        asked = order(suite, **options, command=_command_line())
        view = RunView(asked.suite.budget)
        with view:
            planned = session.make_plan(asked, view)
    except KeyboardInterrupt:
        raise RunInterruptedError("interrupted before the first measurement; nothing was written") from None
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
    from attnbench.store import load_stored
    from attnbench.terminal import RunView
    from attnbench.units import parse_duration

    folder = _run_folder(run, results)
    with RunView(parse_duration(load_stored(folder).info.suite["budget"])) as view:
        return session.resume(folder, view)


@main.command("list")
@click.argument("kind", required=False, type=click.Choice(_KINDS))
@plugin_option
@results_option
@json_option
def list_(kind: str | None, plugins: tuple[str, ...], results: str, as_json: bool) -> None:
    """List layers and suites, or only what KIND says: layers, suites, runs or devices."""
    from attnbench.layers.registry import Registry

    kinds = (kind,) if kind else ("layers", "suites")
    listed = {one: _rows(one, Registry(plugins), Path(results)) for one in kinds}
    if as_json:
        _print_json(listed[kind] if kind else listed)
        return
    for one, rows in listed.items():
        width = max((len(row["name"]) for row in rows), default=0)
        click.secho(one, bold=True)
        for row in rows:
            click.echo(f"  {row['name']:<{width}}  {' · '.join(str(v) for k, v in row.items() if k != 'name' and v)}")
        if not rows:
            click.echo("  none yet")


@main.command()
@click.argument("layer")
@plugin_option
def show(layer: str, plugins: tuple[str, ...]) -> None:
    """Show a layer: what it is, where it comes from, and its claims beside the count."""
    from attnbench.count.laws import COUNTED_METRICS, count_laws
    from attnbench.formula import Formula
    from attnbench.layers.registry import Registry

    registry = Registry(plugins)
    found = registry.get(layer)
    counted = {law.metric: law for law in count_laws(found)}
    click.secho(found.name, bold=True)
    click.echo(f"  {registry.summary(layer)}")
    click.echo(f"  source  {found.source or 'not given'} ({registry.origin(layer)})")
    click.echo(f"  scope   {found.scope}; axes {', '.join(found.axes)}")
    for metric in dict.fromkeys((*COUNTED_METRICS, *found.claims.given)):
        claim = found.claims.given.get(metric)
        words = f"claimed {Formula(claim).pretty}" if claim else "no claim"
        click.echo(f"  {metric:<12}{_mark(counted.get(metric))} {_counted_words(counted.get(metric))}; {words}")


@main.command()
@click.argument("layer")
@click.option("--at", metavar="n=128,d=64", help="Count at these sizes too; other axes keep their defaults.")
@plugin_option
@json_option
def count(layer: str, at: str | None, plugins: tuple[str, ...], as_json: bool) -> None:
    """Count operations, parameters and peak bytes exactly, as formulas, without running the layer."""
    from attnbench import units
    from attnbench.count.laws import count_at, count_laws
    from attnbench.formula import Formula
    from attnbench.layers.registry import Registry
    from attnbench.trial import describe, parse_sizes

    found = Registry(plugins).get(layer)
    sizes = None if at is None else found.sizes(parse_sizes(at))
    values = count_at(found, sizes) if sizes else None
    laws = count_laws(found)
    uncounted = list(dict.fromkeys(name for law in laws for name in law.uncounted))
    if as_json:
        document: dict[str, Any] = {"layer": layer, "at": sizes, "formulas": {law.metric: law.formula for law in laws}}
        document |= {"values": {law.metric: getattr(values, law.metric) for law in laws}} if values else {}
        _print_json({**document, "lower_bound": bool(uncounted), "uncounted": uncounted})
        return
    click.secho(layer, bold=True)
    for law in laws:
        pretty = Formula(law.formula).pretty if law.formula else "no formula"
        click.echo(f"  {law.metric:<12}{'≥ ' if law.lower_bound else ''}{pretty}  ({law.reason})")
    if values and sizes:
        click.echo(f"at {describe(sizes)}")
        click.echo(f"  flops       {values.flops} ({units.flops(values.flops)})")
        click.echo(f"  parameters  {values.parameters} ({units.count(values.parameters)})")
        click.echo(f"  peak_bytes  {values.peak_bytes} ({units.nbytes(values.peak_bytes)})")


@main.command()
@click.argument("run")
@click.option("--claim", "claims", multiple=True, metavar="LAYER=FORMULA", help="Judge another claim for time instead.")
@results_option
@json_option
def laws(run: str, claims: tuple[str, ...], results: str, as_json: bool) -> None:
    """Fit a run again from its tables and print its laws. RUN is a folder, or the name of one in the results."""
    from attnbench import session

    loaded = session.load(_run_folder(run, Path(results)))
    found = [*loaded.info.shown_laws, *session.fit_laws(loaded, _claims(claims, loaded))]
    if as_json:
        _print_json([law.as_json() for law in found])
    else:
        _print_laws(found)


@main.command()
@click.argument("run")
@click.option("--open", "open_it", is_flag=True, help="Open it in a browser.")
@results_option
@reports_option
def report(run: str, open_it: bool, results: str, reports: str) -> None:
    """Write a run's report again and print its path."""
    from attnbench import session

    loaded = session.load(_run_folder(run, Path(results)))
    page = loaded.report(_writable(reports, "--reports"))
    click.echo(page)
    if open_it:
        click.launch(str(page))


@main.command()
@click.argument("run")
@click.option("--format", "form", type=click.Choice(["csv", "markdown"]), default="csv", show_default=True)
@click.option("--table", type=click.Choice(["records", "samples", "laws"]), default="records", show_default=True)
@results_option
def export(run: str, form: str, table: str, results: str) -> None:
    """Print a table of a run on standard output."""
    from attnbench import session

    frame = getattr(session.load(_run_folder(run, Path(results))), table)
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


def _mark(law: Law | None) -> str:
    if law is None or law.claim is None:
        return " "
    return {"CONFIRMED": "✓", "REFUTED": "✗"}.get(str(law.verdict), "?")


def _counted_words(law: Law | None) -> str:
    from attnbench.formula import Formula

    if law is None:
        return "not counted"
    return f"counted {Formula(law.formula).pretty}" if law.formula else f"no formula: {law.reason}"


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
    bad = {"refuted": {"REFUTED"}, "inconclusive": {"REFUTED", "INCONCLUSIVE", "OUT-OF-REGIME"}}.get(
        fail_on or "", set()
    )
    return [f"{law.layer} {law.metric} {law.verdict}" for law in found if str(law.verdict) in bad]


def _run_folder(run: str, results: Path) -> Path:
    """A run by path, or by its name in the results folder."""
    candidates = [Path(run), results / run]
    folder = next((path for path in candidates if (path / "run.json").exists()), None)
    if folder is None:
        names = [path.parent.name for path in results.glob("*/run.json")]
        raise RunError(f"{run} is not a run.{near_miss(run, names)} `attnbench list runs` shows the runs in {results}")
    return folder


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


def _print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=1, ensure_ascii=False))


def _print_laws(found: Sequence[Law]) -> None:
    from attnbench.terminal import console, laws_table

    console().print(laws_table(found))


def _print_plan(planned: Plan, as_json: bool) -> None:
    from attnbench.terminal import console, laws_table, plan_table

    if as_json:
        _print_json(planned.as_json())
        return
    console().print(laws_table(planned.shown_laws))
    for subject in planned.subjects:
        click.echo(f"\n{subject.subject.layer.name}: {subject.why}")
    click.echo()
    console().print(plan_table(planned.subjects))

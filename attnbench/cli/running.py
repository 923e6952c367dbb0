"""Commands that measure: run and plan."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from attnbench.cli.options import (
    exit_on,
    fail_on_option,
    json_option,
    plugin_option,
    print_json,
    print_laws,
    quiet_option,
    reports_option,
    results_option,
    run_folder,
    say,
    writable,
)
from attnbench.errors import InputError, stopped_by
from attnbench.record import MEASURED_METRICS

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from attnbench.execute.machine import Machine
    from attnbench.plan.plan import Plan
    from attnbench.session.reading import Run
    from attnbench.session.reporter import Reporter
    from attnbench.session.request import RunRequest

Command = TypeVar("Command", bound=Callable[..., Any])


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
@quiet_option
@json_option
def run(suite: str | None, resume: str | None, dry_run: bool, fail_on: str | None, **options: Any) -> None:
    """Execute a suite: count, plan, measure, fit, judge and report."""
    as_json, quiet = options.pop("as_json"), options.pop("quiet")
    if (suite is None) == (resume is None):
        raise InputError("give either --suite NAME|FILE or --resume RUN; `attnbench list suites` shows the suites")
    if resume is not None:
        _refuse_changes({**options, "dry_run": dry_run})
    results, reports = writable(options.pop("results"), "--results"), writable(options.pop("reports"), "--reports")
    if suite is None:
        finished = _resume(str(resume), results, quiet)
    else:
        request, planned, view = _plan(suite, options, quiet)
        if dry_run:
            _print_plan(planned, as_json)
            return
        finished = _start(request, planned, results, view)
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
        print_laws([law for law in finished.found_laws if law.metric in MEASURED_METRICS] or finished.found_laws)
        for line in ("", f"run     {finished.path}", f"report  {page}"):
            say(line)
    exit_on(fail_on, finished.found_laws)


@click.command()
@click.option("--suite", required=True, metavar="NAME|FILE", help="A shipped suite or a TOML file.")
@with_run_options
@quiet_option
@json_option
def plan(suite: str, quiet: bool, as_json: bool, **options: Any) -> None:
    """Print what a run would measure (the same as run --dry-run)."""
    options.pop("results")
    _print_plan(_plan(suite, options, quiet)[1], as_json)


def _plan(
    suite: str, options: dict[str, Any], quiet: bool
) -> tuple[RunRequest, Plan, AbstractContextManager[Reporter]]:
    """The request, its plan, and who was told how it was made and will be told how it is carried out."""
    from attnbench.session import prepare
    from attnbench.session.request import request

    try:
        checked = request(suite, **options, command=_command_line(), machine=_machine())
        view = _view(checked.suite.budget, quiet)
        with view as reporter:
            return checked, prepare.make_plan(checked, reporter), view
    except KeyboardInterrupt as stop:
        raise stopped_by(stop, "interrupted before the first measurement; nothing was written") from None


def _start(request: RunRequest, planned: Plan, results: Path, view: AbstractContextManager[Reporter]) -> Run:
    from attnbench.session import run as session

    with view as reporter:
        return session.start(request, planned, results, reporter)


def _view(budget: float, quiet: bool) -> AbstractContextManager[Reporter]:
    """Who shows a run: nobody where only results and errors are wanted."""
    from contextlib import nullcontext

    from attnbench.session.reporter import Reporter
    from attnbench.terminal import RunView

    return nullcontext(Reporter()) if quiet else RunView(budget)


def _refuse_changes(options: dict[str, Any]) -> None:
    """A run is continued as it was ordered; anything else would be dropped without a word."""
    flags = {"layers": "--layer", "devices": "--device", "budget": "--budget", "sizes": "--set", "plugins": "--plugin"}
    flags |= {"seed": "--seed", "dry_run": "--dry-run"}
    if given := [flag for name, flag in flags.items() if options[name] or (name == "seed" and options[name] == 0)]:
        raise InputError(f"--resume continues a run as it was ordered; leave out {', '.join(given)}")


def _resume(run: str, results: Path, quiet: bool) -> Run:
    from attnbench.session import run as session
    from attnbench.store.run_info import read_info

    folder = run_folder(run, results)
    with _view(read_info(folder).plan.suite.budget, quiet) as reporter:
        return session.resume(folder, reporter, _machine())


def _machine() -> Machine:
    """Where a run is made: this machine, but for who calls a command with another as click's object."""
    from attnbench.execute.machine import THIS_MACHINE

    return click.get_current_context().obj or THIS_MACHINE


def _command_line() -> str:
    import shlex

    return shlex.join(["attnbench", *sys.argv[1:]])


def _print_plan(planned: Plan, as_json: bool) -> None:
    from attnbench.terminal import console, laws_table, plan_table
    from attnbench.trial import differences

    if as_json:
        print_json(planned.as_json())
        return
    console().print(laws_table(planned.shown_laws))
    apart = differences(subject.choices for subject, _ in planned.sentences)
    for subject, sentence in planned.sentences:
        choices = apart[subject.choices]
        say()
        say(f"{subject.layer}{f' ({choices})' if choices else ''}: {sentence}")
    say()
    console().print(plan_table(planned))


COMMANDS = (run, plan)

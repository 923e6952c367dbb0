"""Laws of a run that grows: what is fitted again, and that it makes no difference."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from attnbench.session.judge import TimeFits, fit_times
from tests.report.fake_run import attention, conv, rnn, write_fake_run

if TYPE_CHECKING:
    from pathlib import Path


def test_only_what_got_visits_is_fitted_again_and_all_is_judged_as_if_it_were(tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "run", (attention(), rnn(), conv()))
    grown, *others = dict.fromkeys(trial.subject for trial in run.info.trials)
    names = {trial.id for trial in run.info.trials if trial.subject == grown}
    last = max(visit.round for visit in run.visits)
    before = replace(run, visits=tuple(v for v in run.visits if v.trial not in names or v.round < last))
    fits = TimeFits(run.info)

    (then, laws_then), (now, laws_now) = fits.of(before), fits.of(run)

    assert laws_then == fit_times(before)
    assert laws_now == fit_times(run)
    kept = {old.law.subject for old, new in zip(then, now, strict=True) if old.observed is new.observed}
    assert kept == set(others)
    assert others

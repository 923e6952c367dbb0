"""The table of trials, against plain numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from attnbench import units

if TYPE_CHECKING:
    from attnbench.report.context import PageContext
    from attnbench.store.run_folder import StoredRun


def test_rows_of_trials_show_the_numbers_of_the_records(run: StoredRun, context: PageContext) -> None:
    records = run.records.set_index("trial")
    [row] = [row for row in context.trials if row.trial == "rnn-cpu-float32-forward-t1-b32-n128-d512"]
    record = records.loc[row.trial]
    blocks = np.concatenate([v.block_seconds for v in run.visits if v.trial == row.trial])
    fastest = [min(v.block_seconds) for v in run.visits if v.trial == row.trial]

    assert (row.sizes, row.status, row.samples) == ("b=32, n=128, d=512", "ok", "15")
    located = float(np.exp(np.median(np.log(fastest))))
    assert row.seconds == units.seconds(located)
    assert row.median == units.seconds(float(np.median(blocks)))
    assert row.interval == f"[{units.seconds(record['seconds_low'])}, {units.seconds(record['seconds_high'])}]"
    assert row.flops == units.flops(4 * 32 * 128 * 512**2)
    assert row.rate == units.flops_per_second(4 * 32 * 128 * 512**2 / located)
    assert row.peak_bytes == units.nbytes(4 * 128 * 512)


def test_rows_of_trials_leave_nothing_out(run: StoredRun, context: PageContext) -> None:
    assert [row.trial for row in context.trials] == [trial.id for trial in run.info.plan.trials]
    assert context.trials_summary == "79 trials: 75 ok, 1 oom, 1 error, 2 skipped"


def test_rows_of_trials_mark_lower_bounds_and_missing_times(context: PageContext) -> None:
    last = [row for row in context.trials if row.trial.startswith("conv1d")][-1]

    assert last.flops.startswith("≥ ")
    assert (last.status, last.seconds, last.median, last.interval, last.rate) == ("oom", "—", "—", "—", "—")

"""Laws of time from tables: which trials make a group, and whose claims are judged together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from attnbench.fitting.time_law import Question, swept_axes, time_law, time_laws
from attnbench.formula import Formula
from attnbench.law import Verdict
from attnbench.trial import Subject
from tests.fitting.worlds import CORE, World, quiet


def test_sizes_that_every_trial_had_are_kept_and_need_not_be_given_again() -> None:
    records, samples = quiet("2e-9*n**2*d").tables()
    records.insert(list(records.columns).index("n"), "b", 4)
    records.insert(list(records.columns).index("n"), "h", np.nan)

    law = time_law(records, samples, Question(Formula(CORE)))

    assert law.fixed == {"b": 4}
    assert law.predict(n=256, d=128).value == pytest.approx(2e-9 * 256**2 * 128, rel=1e-4)


def test_trials_that_failed_are_left_out() -> None:
    records, samples = quiet("1e-9*n**2*d").tables(0)
    records.loc[[0, 11], "status"] = ["oom", "error"]
    records.loc[[0, 11], "seconds"] = np.nan
    law = time_law(records, samples, Question(Formula(CORE), None))

    assert law.trials == 10
    assert law.verdict is Verdict.CONFIRMED


# --------------------------------------------------------------------------------------------------------------- tables


def test_swept_axes_take_more_than_one_size() -> None:
    columns = ["trial", "threads", "sdpa", "b", "n", "d", "h", "status", "samples"]
    rows = [["a", 1, "default", 1, 64, 8, None, "ok", 5], ["b", 2, "math", 1, 128, 8, None, "ok", 6]]
    records = pd.DataFrame(rows, columns=columns)

    assert swept_axes(records) == ("n",)


def test_every_group_of_trials_has_its_own_law_in_the_order_of_the_records() -> None:
    slow, fast = renamed(quiet("1e-9*n**2*d"), "slow", 0), renamed(quiet("1e-9*n*d"), "fast", 0)
    records = pd.concat([slow[0].assign(threads=2), fast[0].assign(device="cuda:0")])
    questions = {Subject(name).count_key: Question(Formula(CORE), None) for name in ("fast", "slow")}

    laws = time_laws(records, pd.concat([slow[1], fast[1]]), questions)

    assert [(law.layer, law.choices.device, law.choices.threads, law.verdict) for law in laws] == [
        ("slow", "cpu", 2, Verdict.CONFIRMED),
        ("fast", "cuda:0", 1, Verdict.REFUTED),
    ]


def test_claims_of_one_run_are_judged_together() -> None:
    """Twelve layers, of which each is confirmed alone with a chance of error of about 2 %."""
    world = World(lambda s: 1e-9 * s["n"] ** 2.03 * s["d"] ** 1.02, rounds=3, noise=0.03)
    tables = {f"layer-{seed}": renamed(world, f"layer-{seed}", seed) for seed in range(12)}
    question = Question(Formula(CORE))
    alone = [time_law(records, samples, question).verdict for records, samples in tables.values()]

    laws = time_laws(
        pd.concat([records for records, _ in tables.values()]),
        pd.concat([samples for _, samples in tables.values()]),
        {Subject(name).count_key: question for name in tables},
    )

    asked = sum(verdict is not Verdict.OUT_OF_REGIME for verdict in alone)
    changed = [law for law, verdict in zip(laws, alone, strict=True) if law.verdict is not verdict]
    assert changed
    for law in changed:
        assert law.verdict is Verdict.INCONCLUSIVE
        assert law.reason.endswith(f", which would do for one claim, but {asked} are judged together")


def renamed(world: World, layer: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Records and samples of a layer of this name."""
    records, samples = world.tables(seed)
    return (
        records.assign(layer=layer, trial=layer + "-" + records["trial"]),
        samples.assign(trial=layer + "-" + samples["trial"]),
    )


def test_the_axes_may_be_given() -> None:
    records, samples = quiet("1e-9*n**2*d").tables(0)

    law = time_law(records[records["d"] == 64], samples, Question(Formula("n**2"), None), axes=("n",))

    assert list(law.exponents) == ["n"]
    assert law.verdict is Verdict.CONFIRMED

"""What to measure next: gains against visits that are simulated, and when visiting ends."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from attnbench.fitting.model.observations import Observations
from attnbench.fitting.next_visits import Contest, Means, worth_visiting
from attnbench.fitting.time_law import Question, by_subject, judged_together, unjudged_laws, unjudged_time_law
from attnbench.fitting.verdict.unjudged import unjudged_law
from attnbench.formula import Formula
from attnbench.law import Verdict
from tests.fitting.worlds import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from attnbench.fitting.verdict.unjudged import UnjudgedLaw

GRID = pd.DataFrame(itertools.product((64, 128, 256, 512), (32, 64, 128)), columns=["n", "d"])
SQUARE = Question(Formula("n**2*d"))


def observed(
    law: Callable[[pd.DataFrame], Any], own: float, seed: int = 0, *, shared: float = 0.0, rounds: int = 3
) -> Observations:
    """A grid whose visits scatter by `own` each and by `shared` from round to round."""
    rng = np.random.default_rng(seed)
    noise = own * rng.standard_normal((len(GRID), rounds)) + shared * rng.standard_normal((1, rounds))
    return Observations(GRID, np.asarray(law(GRID), dtype=float)[:, None] * np.exp(noise))


def contest(seen: Observations, question: Question = SQUARE) -> Contest:
    unjudged = unjudged_law(seen, question, "time", seen.sizes)
    return Contest(seen, unjudged.judged(unjudged.evidence), unjudged.evidence)


def square(sizes: pd.DataFrame) -> Any:
    return 1e-9 * sizes["n"] ** 2.0 * sizes["d"]


def steeper(by: float) -> Callable[[pd.DataFrame], Any]:
    return lambda sizes: square(sizes) * sizes["n"] ** by


def bumpy(sizes: pd.DataFrame) -> Any:
    """A law that no curve fits: neighbours lie on either side of any."""
    return steeper(0.07)(sizes) * np.exp(0.6 * np.random.default_rng(0).standard_normal(len(sizes)))


# -------------------------------------------------------------------------------------------------------------- the end


@pytest.mark.parametrize(
    ("law", "verdict"), [(square, Verdict.CONFIRMED), (steeper(0.4), Verdict.REFUTED)], ids=["true", "false"]
)
def test_a_clear_verdict_is_settled_once_it_was_given_twice(law: Any, verdict: Verdict) -> None:
    judged = contest(observed(law, 0.01))

    assert judged.law.verdict is verdict
    assert not judged.is_open(verdict, rounds=20)
    assert judged.is_open(Verdict.INCONCLUSIVE, rounds=20)


def test_noise_that_further_visits_average_keeps_a_law_open_while_rounds_are_left() -> None:
    noisy = contest(observed(square, 0.3, seed=1))

    assert noisy.law.verdict is Verdict.INCONCLUSIVE
    assert noisy.is_open(Verdict.INCONCLUSIVE, rounds=200)
    assert not noisy.is_open(Verdict.INCONCLUSIVE, rounds=0)


def test_a_law_whose_interval_is_all_lack_of_fit_is_given_up() -> None:
    uneven, noisy = contest(observed(bumpy, 0.005)), contest(observed(steeper(0.07), 0.3, seed=1))

    assert uneven.law.verdict is noisy.law.verdict is Verdict.INCONCLUSIVE
    assert not uneven.is_open(Verdict.INCONCLUSIVE, rounds=20)
    assert noisy.is_open(Verdict.INCONCLUSIVE, rounds=200)


def test_the_chance_of_a_verdict_grows_with_the_rounds_up_to_what_the_noise_allows() -> None:
    noisy = contest(observed(square, 0.25, seed=5))
    errors = {axis: e.estimate.half_width / stats.t.ppf(0.95, 8) for axis, e in noisy.law.exponents.items()}
    offs = {axis: e.estimate.value - (e.claimed or 0.0) for axis, e in noisy.law.exponents.items()}
    # Visits without end show where each exponent lies; it lies about its estimate as the interval says.
    inside = [stats.norm.cdf(0.1, offs[a], errors[a]) - stats.norm.cdf(-0.1, offs[a], errors[a]) for a in offs]
    outside = [1 - i for i in inside]

    chances = [noisy.chance(rounds) for rounds in (0, 1, 2, 4, 1000)]

    assert chances[0] == 0
    assert chances == sorted(chances)
    assert chances[-1] == pytest.approx(max(min(inside), max(outside)), abs=0.02)


def test_hardly_a_law_is_given_up_that_further_visits_would_settle() -> None:
    lost = 0
    for seed in range(30):
        everything = observed(steeper(0.06), 0.08, seed, rounds=12)
        now = contest(Observations(GRID, everything.by_round[:, :3]))
        if now.law.verdict is Verdict.INCONCLUSIVE and not now.is_open(Verdict.INCONCLUSIVE, rounds=9):
            lost += contest(everything).law.verdict is not Verdict.INCONCLUSIVE

    assert lost <= 2


def test_a_term_too_small_to_be_seen_is_not_waited_for() -> None:
    two = Question(Formula("n**2*d + n*d**2"))
    small = contest(observed(lambda s: square(s) + 1e-11 * s["n"] * s["d"] ** 2, 0.03), two)

    assert small.law.verdict is Verdict.INCONCLUSIVE
    assert not small.is_open(Verdict.INCONCLUSIVE, rounds=20)


def test_a_law_that_nobody_claims_is_waited_for_only_if_noise_hides_it() -> None:
    nobody = Question(None)
    noisy, uneven = contest(observed(square, 0.4, seed=1), nobody), contest(observed(bumpy, 0.005), nobody)

    assert noisy.law.verdict is uneven.law.verdict is Verdict.INCONCLUSIVE
    assert noisy.is_open(Verdict.INCONCLUSIVE, rounds=20)
    assert not uneven.is_open(Verdict.INCONCLUSIVE, rounds=20)


# ---------------------------------------------------------------------------------------------------------- whole runs


def tables(**layers: World) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Records and samples of several layers."""
    parts = []
    for number, (layer, world) in enumerate(layers.items()):
        records, samples = world.tables(seed=number)
        for table in (records, samples):
            table["trial"] = table["trial"].str.replace("x-", f"{layer}-", n=1)
        samples["process"] = samples["round"] // 2
        parts.append((records.assign(layer=layer), samples))
    return pd.concat([r for r, _ in parts]), pd.concat([s for _, s in parts])


def until(samples: pd.DataFrame, rounds: int) -> pd.DataFrame:
    return samples[samples["round"] < rounds]


EASY = World("1e-9*n**2*d", noise=0.01, process=0.005, late=0.0)
HARD = World("1e-9*n**2*d", noise=0.4, process=0.01, late=0.0)


def fitted(records: pd.DataFrame, samples: pd.DataFrame) -> list[UnjudgedLaw]:
    questions = {subject.count_key: SQUARE for subject, _ in by_subject(records)}
    return unjudged_laws(records, questions, lambda group, asked: unjudged_time_law(group, samples, asked))


def wanted(records: pd.DataFrame, samples: pd.DataFrame, rounds: int = 3) -> set[str]:
    before, now = (fitted(records, until(samples, number)) for number in (rounds - 1, rounds))
    seconds = dict(zip(records["trial"], np.where(records["n"] > 128, 2.0, 0.5), strict=True))
    return worth_visiting(now, judged_together(now), judged_together(before), Means(seconds, rounds=24 - rounds))


def test_only_trials_of_laws_that_are_open_are_wanted() -> None:
    records, samples = tables(easy=EASY, hard=HARD)

    chosen = wanted(records, samples)

    assert chosen
    assert {trial.partition("-")[0] for trial in chosen} == {"hard"}


def test_when_every_law_is_settled_nothing_is_wanted() -> None:
    assert wanted(*tables(easy=EASY, also=EASY)) == set()


def test_the_choice_is_the_same_for_the_same_data_in_any_order() -> None:
    records, samples = tables(easy=EASY, hard=HARD)

    assert wanted(records, samples) == wanted(records, samples.sample(frac=1.0, random_state=0))


def test_trials_that_failed_are_not_wanted() -> None:
    records, samples = tables(hard=HARD)
    failed = sorted(wanted(records, samples))[0]
    records.loc[records["trial"] == failed, "status"] = "oom"

    assert failed not in wanted(records, samples[samples["trial"] != failed])

"""Strangers' tables: what is read from them, what is left out and said, and what cannot be read at all."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

import attnbench
from attnbench.errors import InputError
from attnbench.fitting.frame import MAX_VISITS, read_frame
from attnbench.law import Law, Verdict

if TYPE_CHECKING:
    pass

NAN, INF = np.nan, np.inf


def grid(**sizes: tuple[float, ...]) -> pd.DataFrame:
    return pd.DataFrame(itertools.product(*sizes.values()), columns=list(sizes))


def measured(rounds: int = 4, blocks: int = 3, seed: int = 0) -> pd.DataFrame:
    """A clean table in random order: n²d with noise, two processes of `rounds` rounds of `blocks` rows."""
    rng = np.random.default_rng(seed)
    frame = grid(n=(64, 128, 256, 512, 1024), d=(32, 64, 128), process=(0, 1), round=range(rounds), block=range(blocks))
    noise = np.exp(0.02 * rng.standard_normal(len(frame)))
    return frame.assign(seconds=3e-9 * frame["n"] ** 2 * frame["d"] * noise).sample(frac=1, random_state=seed)


def six_rows(**columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({"n": [1, 2, 4, 1, 2, 4], "d": [1, 1, 1, 2, 2, 2], "seconds": [1.0, 2, 4, 2, 4, 8]} | columns)


def test_rows_of_two_machines_are_not_fitted_as_one_by_mistake() -> None:
    """Each machine has its own lengths, so that no replicates could show the difference."""
    frame = measured().assign(host=lambda rows: np.where(rows["n"] < 300, "here", "there"))

    with pytest.raises(InputError) as caught:
        attnbench.fit(frame)

    assert str(caught.value) == (
        "the rows come from 2 hosts, 'here' and 'there', as the column 'host' says; fit each of them apart, "
        "or take the column away to fit them as one"
    )
    assert attnbench.fit(frame[frame["host"] == "here"]).exponents["n"].estimate.value == pytest.approx(2, abs=0.1)
    assert attnbench.fit(frame.drop(columns="host")).trials == 15


def test_each_visit_reads_the_median_of_its_rows() -> None:
    frame = measured()
    by_hand = frame.pivot_table(index=["n", "d"], columns=["process", "round"], values="seconds", aggfunc="median")

    # In order of their visits the columns are the pivot's: a stable order, whatever the order of the configurations.
    found = read_frame(frame.sort_values(["process", "round"]), "seconds", ["n", "d"])

    assert found.remarks == ()
    assert found.rows == len(frame)
    pd.testing.assert_frame_equal(found.observed.sizes, by_hand.index.to_frame(index=False))
    np.testing.assert_array_equal(found.observed.by_round, by_hand.to_numpy())


@pytest.mark.parametrize("constant", [{}, {"process": 7, "round": 7}], ids=["none", "constant"])
def test_without_varying_clusters_each_replicate_is_a_visit_in_order(constant: dict[str, int]) -> None:
    frame = pd.DataFrame({"n": [2, 1, 2, 1, 2], "seconds": [20.0, 10, 21, 11, 22]}).assign(**constant)

    found = read_frame(frame, "seconds", ["n"]).observed

    np.testing.assert_array_equal(found.by_round, [[10, 11, NAN], [20, 21, 22]])


def test_a_visit_that_a_configuration_lacks_is_missing() -> None:
    frame = pd.DataFrame({"n": [1, 1, 2, 2, 2], "process": ["a", "b", "b", "b", None], "seconds": [1.0, 2, 3, 5, 6]})

    found = read_frame(frame, "seconds", ["n"]).observed

    np.testing.assert_array_equal(found.by_round, [[1, 2, NAN], [NAN, 4, 6]])


@pytest.mark.parametrize(
    ("labels", "factors", "said"),
    [
        (["rnn", "attention"], [1.0, 3.0], ["by layer (2 values)"]),
        ([1, 8, 32], [1.0, 8.0, 32.0], ["by layer (3 values)"]),
        (["rnn", None], [1.0, 3.0], ["by layer (2 values)"]),
        (["rnn", "attention"], [1.0, 1.0], []),
        ([0, 1, 2, 3, 4], [1.0, 1.01, 0.99, 1.02, 1.0], []),
        ([["rnn"], ["attention"]], [1.0, 3.0], []),
    ],
    ids=["layers", "sizes", "unnamed", "alike", "replicates", "lists"],
)
def test_rows_that_are_no_replicates_are_told(labels: list[Any], factors: list[float], said: list[str]) -> None:
    frame = grid(n=(64, 128, 256, 512), d=(32, 64), which=tuple(range(len(labels))))
    noise = np.exp(0.1 * np.random.default_rng(4).standard_normal(len(frame)))
    which = frame.pop("which")
    frame["layer"] = pd.Series([labels[w] for w in which], dtype=object)
    frame["seconds"] = frame["n"] * frame["d"] * noise * np.take(factors, which)

    remarks = read_frame(frame, "seconds", ["n", "d"]).remarks

    end = ": fit each of them apart, or fit over it too"
    assert [*remarks] == [f"rows of the same sizes differ mostly {columns}{end}" for columns in said]


def test_too_many_visits_are_put_together_with_their_neighbours() -> None:
    visits = 2 * MAX_VISITS
    values = np.random.default_rng(1).random(visits) + 1
    frame = pd.DataFrame({"n": [1] * visits + [2] * 3, "seconds": [*values, 5.0, 6.0, 7.0]})

    found = read_frame(frame, "seconds", ["n"])

    np.testing.assert_allclose(found.observed.by_round[0], values.reshape(-1, 2).mean(axis=1))
    np.testing.assert_array_equal(found.observed.by_round[1, :3], [5, 6, 7])
    assert np.isnan(found.observed.by_round[1, 3:]).all()
    assert found.remarks == ("80 visits of a configuration were put together into 40, each with its neighbours",)


def test_a_million_rows_are_put_together_by_configuration() -> None:
    rng = np.random.default_rng(2)
    sizes = grid(n=(64, 128, 256, 512), d=(32, 64, 128))
    frame = sizes.loc[rng.integers(0, len(sizes), 1_000_000)].reset_index(drop=True)
    frame = frame.assign(round=rng.integers(0, 20, len(frame)), seconds=rng.exponential(1.0, len(frame)))

    found = read_frame(frame, "seconds", ["n", "d"]).observed

    assert found.by_round.shape == (12, 20)
    # About 4200 rows a visit: their median is ln 2, with a standard error of 1/√4200.
    np.testing.assert_allclose(found.by_round, np.log(2), atol=6 / np.sqrt(4000))


@pytest.mark.parametrize(
    ("columns", "remarks"),
    [
        ({"seconds": [1, NAN, 4, None, 4, 8]}, ["2 of 6 rows were left out: seconds has no value"]),
        ({"n": [1, None, 4, 1, 2, 4]}, ["1 of 6 rows was left out: n has no value"]),
        ({"n": ["1", " ", "4", "1", "", "4"]}, ["2 of 6 rows were left out: n has no value"]),
        (
            {"seconds": [1, 0.0, 4, -2, 4, 8]},
            ["2 of 6 rows were left out: seconds is zero or negative, which a power law cannot be"],
        ),
        ({"d": [1, INF, 1, 2, 2, 2]}, ["1 of 6 rows was left out: d is infinite"]),
        ({"d": [1, 1e31, 1, 2, 1e-31, 2]}, ["2 of 6 rows were left out: d is below 1e-30 or above 1e30"]),
        (
            {"seconds": [INF, 2, -INF, 2, 4, 8], "n": [0, 2, 4, 1, NAN, 4]},
            [
                "1 of 6 rows was left out: seconds is zero or negative, which a power law cannot be",
                "1 of 6 rows was left out: seconds is infinite",
                "1 of 6 rows was left out: n has no value",
            ],
        ),
        ({"d": [32] * 6}, ["d is 32 in every row, so it has no part in the fit"]),
        (
            {"d": [1, 0, 1, 1, 1, -1]},
            [
                "2 of 6 rows were left out: d is zero or negative, which a power law cannot be",
                "d is 1 in every row, so it has no part in the fit",
            ],
        ),
    ],
)
def test_what_is_left_out_is_said(columns: dict[str, list[Any]], remarks: list[str]) -> None:
    found = read_frame(six_rows(**columns), "seconds", ["n", "d"])

    assert [*found.remarks] == remarks
    assert np.isfinite(found.observed.values).all()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"n": [1, 2, "four", 1, "x", 4]},
            "column 'n', row 3: 'four' is not a number; correct it, or leave it empty where a value is missing",
        ),
        (
            {"seconds": ["1", "2", "1,024.5", "2", "4", "8"]},
            (
                "column 'seconds', row 3: '1,024.5' is no number here; "
                "write a point before decimals and nothing between thousands"
            ),
        ),
        (
            {"seconds": ["0,5", "2", "4", "2", "4", "8"]},
            (
                "column 'seconds', row 1: '0,5' is no number here; "
                "write a point before decimals and nothing between thousands"
            ),
        ),
        (
            {"d": [True, True, True, False, False, False]},
            "column 'd', row 1: 'True' is not a number; correct it, or leave it empty where a value is missing",
        ),
        (
            {"seconds": [1, 2, 3 + 1j, 4, 5, 6]},
            "column 'seconds', row 1: '(1+0j)' is not a number; correct it, or leave it empty where a value is missing",
        ),
        (
            {"n": [0, 0, 0, NAN, NAN, NAN]},
            (
                "no row is left to fit: 3 of 6 rows were left out: n has no value; "
                "3 of 6 rows were left out: n is zero or negative, which a power law cannot be"
            ),
        ),
    ],
)
def test_a_table_without_usable_numbers_is_refused(columns: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(InputError) as refused:
        read_frame(six_rows(**columns), "seconds", ["n", "d"])

    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("frame", "y", "over", "message"),
    [
        (six_rows(), "second", "n,d", "there is no column 'second' among n, d, seconds. Did you mean 'seconds'?"),
        (six_rows(), "seconds", "n,width", "there is no column 'width' among n, d, seconds."),
        (
            six_rows().set_index(["n", "d"]),
            "seconds",
            "n,d",
            "there is no column 'n' among seconds. It is in the index: call reset_index() first.",
        ),
        (
            six_rows().assign(**{f"c{i}": 1 for i in range(20)}),
            "seconds",
            "k",
            "there is no column 'k' among n, d, seconds, c0, c1, c2, c3, c4, c5, c6, c7, c8, ….",
        ),
        (six_rows(), "n", "n,d", "'n' is named as the metric and as an axis; fit over the other columns"),
        (six_rows(), "seconds", "n,d,n", "the axis 'n' is named twice; once is enough"),
        (six_rows(), "seconds", "", "name the columns to fit over, such as n,d"),
        (six_rows(), "seconds", "n,,d", "name the columns to fit over, such as n,d"),
        (six_rows(), "seconds", [], "name the columns to fit over, such as n,d"),
        (six_rows(), "seconds", [0], "0 is no text; rename the column, as formulas name the axes"),
        (
            six_rows().set_axis(["n", "n", "seconds"], axis=1),
            "seconds",
            "n",
            "2 columns are named 'n'; rename or remove all but one",
        ),
        (six_rows().iloc[:0], "seconds", "n,d", "the table has no rows; at least one measurement is needed"),
        ("times.csv", "seconds", "n", "a pandas DataFrame is needed, not str; pandas.read_csv reads a file"),
        (
            six_rows().set_axis(["seq len", "seq-len", "seconds"], axis=1),
            "seconds",
            "seq len,seq-len",
            "the axes 'seq len' and 'seq-len' would both be written seq_len in formulas; rename one of the columns",
        ),
    ],
)
def test_a_question_that_the_table_cannot_answer_is_refused(frame: Any, y: str, over: Any, message: str) -> None:
    with pytest.raises(InputError) as refused:
        read_frame(frame, y, over)

    assert str(refused.value) == message


@pytest.mark.parametrize(
    "cells",
    [
        ["128", " 1e2", "5.5"],
        [Decimal("128"), 100, 5.5],
        pd.array([128, 100, 5.5], dtype="Float64"),
        pd.Categorical([128, 100, 5.5]),
        pd.array(["128", "100", "5.5"], dtype="string"),
    ],
    ids=["text", "objects", "nullable", "categories", "strings"],
)
def test_numbers_are_read_however_they_are_kept(cells: Any) -> None:
    found = read_frame(pd.DataFrame({"n": cells, "seconds": [3.0, 2.0, 1.0]}), "seconds", ["n"]).observed

    assert found.sizes["n"].tolist() == [5.5, 100, 128]
    assert found.by_round.ravel().tolist() == [1, 2, 3]


def test_whole_sizes_stay_whole() -> None:
    sizes = read_frame(six_rows(n=["1", "2", "4", "1", "2.0", "4"]), "seconds", ["n"]).observed.sizes

    assert sizes["n"].dtype == np.int64


@pytest.mark.parametrize(
    ("column", "written"),
    [
        ("seq_len", "seq_len"),
        ("größe", "größe"),
        ("seq len", "seq_len"),
        ("batch (per GPU)", "batch_per_GPU"),
        ("n²", "n2"),
        ("µ", "μ"),  # a micro sign is read as the Greek letter
        ("2d", "x_2d"),
        ("min", "min_"),
        ("lambda", "lambda_"),
        ("inf", "inf_"),
        ("%", "x"),
    ],
)
def test_any_axis_gets_a_name_that_formulas_can_use(column: str, written: str) -> None:
    found = read_frame(six_rows().rename(columns={"n": column}), "seconds", [column, "d"])

    assert found.observed.axes == (written, "d")
    assert [*found.remarks] == ([] if column == written else [f"the axis {column!r} is written {written} in formulas"])


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [("n**2*d", Verdict.CONFIRMED), ("n*d**2", Verdict.REFUTED), (None, Verdict.INFERRED)],
)
def test_a_law_is_found_and_judged(claim: str | None, verdict: Verdict) -> None:
    law = attnbench.fit(measured(), claim=claim)

    assert law.verdict is verdict
    assert (law.metric, law.trials) == ("seconds", 15)
    assert law.window == {"n": (64, 1024), "d": (32, 128)}


def test_any_positive_metric_over_any_axes_is_fitted() -> None:
    names = {"n": "tokens", "d": "model width", "seconds": "energy (J)"}
    frame = measured().rename(columns=names).assign(gpus=8)

    with pytest.warns(UserWarning, match="axis|row") as said:
        law = attnbench.fit(frame, "energy (J)", ["tokens", "model width", "gpus"], "tokens**2*model_width*gpus")

    assert [str(warning.message) for warning in said] == [
        "the axis 'model width' is written model_width in formulas",
        "gpus is 8 in every row, so it has no part in the fit",
    ]
    assert {warning.filename for warning in said} == {__file__}
    assert law.verdict is Verdict.CONFIRMED
    assert law.fixed == {"gpus": 8}
    assert Law.from_json(law.as_json()) == law


@pytest.mark.parametrize("over", [["n"], ["n", "d"]])
def test_one_size_is_out_of_regime(over: list[str]) -> None:
    frame = measured().query("n == 128 and d == 64")

    with pytest.warns(UserWarning, match="in every row") as said:
        law = attnbench.fit(frame, over=over, claim="n**2")

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.fixed == {"n": 128, "d": 64} if "d" in over else {"n": 128}
    assert len(said) == len(over)


def test_axes_that_vary_only_together_are_out_of_regime() -> None:
    sizes = np.repeat([32, 64, 128, 256, 512, 1024], 4)

    law = attnbench.fit(pd.DataFrame({"n": sizes, "d": 2 * sizes, "seconds": 1e-9 * sizes**3}), claim="n**2*d")

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert "n and d vary only together" in law.reason


def test_a_claim_over_other_axes_is_refused() -> None:
    with pytest.raises(InputError) as refused:
        attnbench.fit(six_rows().iloc[:3], over=["n"], claim="n*d")

    assert str(refused.value) == (
        "the claim 'n*d' names 'd', which is not among the axes n. Correct the claim, or fit over that axis too"
    )


def test_a_law_shows_itself_in_a_notebook() -> None:
    law = attnbench.fit(measured(), claim="n**2*d")
    page = law._repr_html_()

    assert "✓ CONFIRMED" in page
    assert "n from 64 to 1024, d from 32 to 128" in page
    assert repr(law).startswith("<Law seconds: n^")

"""What a user asks for is completed, or refused before anything runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import attnbench
from attnbench.errors import InputError, LayerError, SuiteError
from attnbench.session import run as session
from tests.session.grid import LAYER


def sweeps(suite: str, **overrides: Any) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    return [(sweep.layers, dict(sweep.axes)) for sweep in session.request(suite, **overrides).suite.sweeps]


GRID_AXES = {"n": (64, 128, 256), "d": (64, 128, 256)}


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({}, [((LAYER,), GRID_AXES)]),
        ({"layers": [LAYER]}, [((LAYER,), GRID_AXES)]),
        ({"layers": ["rnn"]}, [(("rnn",), {"b": "auto", "n": "auto", "d": "auto"})]),
        (
            {"layers": [LAYER, "conv1d"]},
            [((LAYER,), GRID_AXES), (("conv1d",), {"b": "auto", "n": "auto", "d": "auto", "k": "auto"})],
        ),
        ({"sizes": ["n=32", "h=2"]}, [((LAYER,), {"n": (32,), "d": (64, 128, 256), "h": (2,)})]),
        ({"sizes": ["n=auto"]}, [((LAYER,), {"n": "auto", "d": (64, 128, 256)})]),
    ],
    ids=["as it is", "its layer", "another layer", "one beside", "sizes", "automatic"],
)
def test_overrides_change_layers_and_sizes(
    overrides: dict[str, Any], expected: list[tuple[tuple[str, ...], dict[str, Any]]], suite: str
) -> None:
    assert sweeps(suite, **overrides) == expected


def test_overrides_change_budget_devices_and_seed(suite: str) -> None:
    asked = session.request(suite, budget="2m", devices=["cpu", "cpu"], seed=9, command="attnbench run")

    assert (asked.suite.budget, asked.suite.devices, asked.seed, asked.command) == (120.0, ("cpu",), 9, "attnbench run")


def test_a_string_is_one_item_and_a_path_is_a_suite(suite: str) -> None:
    asked = session.request(Path(suite), layers=LAYER, devices="cpu", sizes="n=32,64")

    assert asked == replace(
        session.request(suite, layers=[LAYER], devices=["cpu"], sizes=["n=32,64"]), registry=asked.registry
    )
    assert asked.suite.sweeps[0].axes["n"] == (32, 64)


def test_an_override_that_does_not_exist_is_refused(suite: str) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'device'"):
        attnbench.run(suite, device="cpu")  # type: ignore[call-arg]


def test_a_size_that_only_some_combinations_allow_is_no_error(suite: str) -> None:
    assert session.request(suite, sizes=["h=1,3"]).suite.sweeps[0].axes["h"] == (1, 3)


@pytest.mark.parametrize(
    ("overrides", "kind", "message"),
    [
        (
            {"sizes": ["h=3"]},
            LayerError,
            f"layer '{LAYER}' needs d % h == 0, which b=1, n=64, d=64, h=3 does not satisfy",
        ),
        ({"sizes": ["k=3"]}, SuiteError, "--set k: no layer of this run has such an axis; they have b, n, d, h"),
        ({"budget": "soon"}, InputError, "--budget: a duration such as 60s, 2m or 1h is needed, not 'soon'"),
        ({"layers": ["rn"]}, LayerError, "unknown layer 'rn'. Did you mean 'rnn'?"),
    ],
    ids=["constraint", "axis", "budget", "layer"],
)
def test_an_order_that_cannot_be_met_is_refused_at_once(
    overrides: dict[str, Any], kind: type[InputError], message: str, suite: str
) -> None:
    with pytest.raises(kind) as caught:
        session.request(suite, **overrides)

    assert str(caught.value) == message


def test_a_sweep_over_an_axis_that_none_of_its_layers_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text('device = "cpu"\n[[sweep]]\nlayers = ["rnn", "gru"]\nk = [3]\n', encoding="utf-8")

    with pytest.raises(SuiteError) as caught:
        session.request(str(path))

    assert str(caught.value) == "no layer of the sweep over rnn, gru has an axis 'k'."

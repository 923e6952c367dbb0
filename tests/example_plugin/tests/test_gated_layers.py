"""The layer keeps the contract, and a claim that is wrong is noticed."""

import pytest
from gated_layers.layer import LAYERS

from attnbench.check.contract import check_layer, checks_of, look
from attnbench.check.outcome import Mark

GATE, FOR_HALF = LAYERS


@pytest.mark.parametrize("check", checks_of(GATE))
def test_the_layer_keeps_the_contract(check: str) -> None:
    assert [outcome for outcome in look(GATE, check) if outcome.mark is Mark.FAILED] == []


def test_half_of_the_work_is_not_all_of_it() -> None:
    wrong = [outcome.found for outcome in check_layer(FOR_HALF) if outcome.mark is Mark.FAILED]

    assert wrong == ["claimed 2bnd², counted 4bnd²"]

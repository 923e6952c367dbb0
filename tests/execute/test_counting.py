"""Layers counted side by side, by real processes: the same laws as here, and nothing left behind."""

from __future__ import annotations

import os

import psutil
import pytest

from attnbench.errors import LayerError
from attnbench.execute.counting import count_all
from attnbench.law import Verdict
from attnbench.layers.registry import Registry

PLUGIN = '''
"""Layers that can be counted, and layers that cannot."""
import os

import torch
from attnbench import Claims, Layer


class Does(torch.nn.Module):
    def __init__(self, what):
        super().__init__()
        self.forward = what


def raises(x):
    raise ValueError("not today")


def raises_too(x):
    raise ValueError("neither")


def exits(x):
    os._exit(3)


def layer(what):
    return Layer(what.__name__, lambda d: Does(what))


LAYERS = [layer(what) for what in (raises, raises_too, exits)]
LAYERS.append(Layer("linear", lambda d: torch.nn.Linear(d, d, bias=False), claims=Claims(flops="2*b*n*d**2")))
'''
CHEAP = ("feed-forward", "linear", "conv1d", "conv1d-causal", "fully-connected", "attention-core-fused")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    file = tmp_path_factory.mktemp("plugin") / "mine.py"
    file.write_text(PLUGIN, encoding="utf-8")
    return Registry((str(file),))


def wanted(*layers: str) -> list[tuple[str, str, str]]:
    return [(layer, "float32", "forward") for layer in layers]


def cores(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: number)


def test_layers_of_anyone_have_the_same_laws_here_and_side_by_side(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [*wanted(*CHEAP), ("feed-forward", "bfloat16", "forward"), ("linear", "float32", "train")]
    shown: dict[int, list[str]] = {1: [], 2: []}
    found = {}
    for number, names in shown.items():
        cores(monkeypatch, number)
        found[number] = count_all(registry, asked, ("flops",), names.append)

    assert found[1] == found[2]
    assert list(found[2]) == asked
    assert shown[1] == shown[2] == [name for name, *_ in asked]
    assert [law.verdict for law in found[2]["linear", "float32", "forward"]] == [Verdict.CONFIRMED]
    assert [law.dtype for law in found[2]["feed-forward", "bfloat16", "forward"]] == ["bfloat16"]
    assert [(law.mode, law.formula) for law in found[2]["linear", "float32", "train"]] == [("train", "6*b*n*d**2")]
    assert psutil.Process().children() == []


def test_of_layers_that_cannot_be_counted_the_first_is_one_line(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    cores(monkeypatch, 2)
    asked = wanted("feed-forward", "raises", "raises_too", *CHEAP[1:])

    with pytest.raises(LayerError) as caught:
        count_all(registry, asked, ("flops",), lambda name: None)

    assert str(caught.value).startswith("layer 'raises' at b=")
    assert str(caught.value).endswith(" raised ValueError: not today")
    assert psutil.Process().children() == []


@pytest.mark.parametrize("number", [1, 2])
def test_what_cannot_be_counted_may_be_left_out_and_is_told(
    number: int, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    cores(monkeypatch, number)
    told: list[tuple[tuple[str, str, str], str]] = []
    asked = wanted("raises", *CHEAP, "raises_too")

    found = count_all(
        registry, asked, ("flops",), lambda name: None, lambda one, error: told.append((one, str(error)[:14]))
    )

    assert list(found) == wanted(*CHEAP)
    assert told == [(asked[0], "layer 'raises'"), (asked[-1], "layer 'raises_")]


def test_a_layer_that_ends_its_process_is_one_line_and_starts_no_other(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    cores(monkeypatch, 2)

    with pytest.raises(LayerError) as caught:
        count_all(registry, wanted("exits", *CHEAP, "conv1d-separable"), ("flops",), lambda name: None)

    assert str(caught.value) == ("layer 'exits' cannot be counted: the measuring process ended with exit status 3")
    assert psutil.Process().children() == []


def test_few_layers_are_counted_without_any_process(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    cores(monkeypatch, 8)
    started: list[object] = []
    monkeypatch.setattr("attnbench.execute.process.subprocess.Popen", started.append)

    count_all(registry, wanted(*CHEAP[:5]), ("parameters",), lambda name: None)

    assert started == []

"""Layers counted side by side, by real processes: the same laws as here, and nothing left behind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from attnbench.counting.observations import OBSERVATIONS, asked_by
from attnbench.errors import LayerError
from attnbench.execute.counting import count_all, count_trials, observe_all
from attnbench.law import Verdict
from attnbench.layers.registry import Registry
from attnbench.trial import Choices, Subject, Trial

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import psutil

    LeftBehind = Callable[[], list[psutil.Process]]

PLUGIN = '''
"""Layers that can be counted, and layers that cannot."""
import os
import threading

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


def leaves(x):
    raise SystemExit("goodbye")


def hangs(x):
    threading.Event().wait()


def tells(x):
    """Refuses to be called by anyone but a measuring process, which leads a session."""
    assert os.getsid(0) == os.getpid()
    return x


def layer(what):
    return Layer(what.__name__, lambda d: Does(what))


LAYERS = [layer(what) for what in (raises, raises_too, exits, leaves, hangs, tells)]
LAYERS.append(Layer("linear", lambda d: torch.nn.Linear(d, d, bias=False), claims=Claims(flops="2*b*n*d**2")))
'''
OBSERVING = """
import os

from attnbench import Layer
from attnbench.counting.observations import OBSERVATIONS, Observation
from attnbench.errors import LayerError


def initial(layer):
    if layer.name == "nobody":
        raise LayerError("layer 'nobody' has no initial")
    return [layer.name[0], "ATTNBENCH_PADDING" in os.environ]


OBSERVATIONS["initial"] = Observation(initial, "sign", lambda why: why)
LAYERS = [Layer(name, lambda d: None) for name in ("mine", "nobody")]
"""
CHEAP = ("feed-forward", "linear", "conv1d", "conv1d-causal", "fully-connected", "attention-core-fused")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    file = tmp_path_factory.mktemp("plugin") / "mine.py"
    file.write_text(PLUGIN, encoding="utf-8")
    return Registry((str(file),))


def wanted(*layers: str) -> list[Subject]:
    return [Subject(layer) for layer in layers]


def cores(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: number)


def test_layers_of_anyone_have_the_same_laws_here_and_side_by_side(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, left_behind: LeftBehind
) -> None:
    asked = [
        *wanted(*CHEAP),
        Subject("feed-forward", Choices(dtype="bfloat16")),
        Subject("linear", Choices(mode="train")),
    ]
    shown: dict[int, list[str]] = {1: [], 2: []}
    found = {}
    for number, names in shown.items():
        cores(monkeypatch, number)
        found[number] = count_all(registry, asked, ("flops",), names.append)

    assert found[1] == found[2]
    assert list(found[2]) == asked
    assert shown[1] == shown[2] == [subject.layer for subject in asked]
    assert [law.verdict for law in found[2][Subject("linear")]] == [Verdict.CONFIRMED]
    assert [law.choices.dtype for law in found[2][asked[-2]]] == ["bfloat16"]
    assert [(law.choices.mode, law.formula) for law in found[2][asked[-1]]] == [("train", "6*b*n*d**2")]
    assert left_behind() == []


@pytest.mark.parametrize("number", [1, 4])
def test_a_layer_that_cannot_be_counted_is_one_line_of_its_own_and_the_others_are_counted(
    number: int, registry: Registry, monkeypatch: pytest.MonkeyPatch, left_behind: LeftBehind
) -> None:
    cores(monkeypatch, number)
    broken = ("raises", "raises_too", "leaves", "exits")

    found = count_all(registry, wanted("linear", *broken, "feed-forward"), ("flops",), lambda name: None)

    said = {subject.layer: str(laws) for subject, laws in found.items() if isinstance(laws, LayerError)}
    assert tuple(said) == broken
    assert said["raises"].startswith("layer 'raises' at b=")
    assert said["raises"].endswith(" raised ValueError: not today")
    assert said["raises_too"].endswith(" raised ValueError: neither")
    assert said["leaves"] == "layer 'leaves' cannot be counted: SystemExit: goodbye"
    assert said["exits"] == "layer 'exits' cannot be counted: the measuring process ended with exit status 3"
    assert [law.formula for law in found[Subject("linear")]] == ["2*b*n*d**2"]  # type: ignore[union-attr]
    assert isinstance(found[Subject("feed-forward")], list)
    assert left_behind() == []


def test_a_layer_that_is_never_counted_is_given_up(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, left_behind: LeftBehind
) -> None:
    monkeypatch.setattr("attnbench.execute.process._COUNTING_SECONDS", 0.5)

    found = count_all(registry, wanted("hangs"), ("flops",), lambda name: None)

    assert str(found[Subject("hangs")]) == "layer 'hangs' cannot be counted: no answer within 0.5 s"
    assert left_behind() == []


def test_a_layer_from_elsewhere_is_never_called_here(registry: Registry) -> None:
    here = Trial(Subject("tells"), {"b": 1, "n": 4, "d": 8}), Trial(Subject("feed-forward"), {"b": 1, "n": 4, "d": 8})

    laws = count_all(registry, wanted("tells"), ("flops",), lambda name: None)
    counted = count_trials(
        registry,
        here,
        {trial.subject: [] for trial in here},
    )
    seen = observe_all(registry, ["tells", "raises", "exits", "feed-forward", "attention-core"], list(OBSERVATIONS))

    assert isinstance(laws[Subject("tells")], list)
    assert {trial: counts.flops for trial, counts in counted.items()} == {here[0].id: 0, here[1].id: 8 * 4 * 2 * 8**2}
    assert set(seen["reach"]) == {"tells", "feed-forward", "attention-core"}
    assert seen["paths"]["tells"]["sizes"] == seen["paths"]["feed-forward"]["sizes"] == {"b": 1, "n": 32, "d": 8}
    assert seen["paths"]["tells"]["rows"] == seen["paths"]["feed-forward"]["rows"]
    assert "ValueError in float64: not today" in seen["paths"]["raises"]["refused"]
    assert seen["paths"]["exits"]["refused"] == "the measuring process ended with exit status 3"
    assert set(seen["weights"]) == {"attention-core"}
    assert set(seen["fading"]) == {"tells", "feed-forward", "attention-core"}
    assert observe_all(registry, ["tells"], []) == {}


def test_another_observation_is_one_line_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin enters it, here and in the process that looks at its layers."""
    monkeypatch.setitem(OBSERVATIONS, "initial", OBSERVATIONS["reach"])  # so that it is taken out again
    file = tmp_path / "observing.py"
    file.write_text(OBSERVING, encoding="utf-8")
    registry = Registry((str(file),))

    assert observe_all(registry, ["mine", "nobody", "rnn"], asked_by(["sign"])) == {
        "initial": {"mine": ["m", True], "rnn": ["r", False], "nobody": "layer 'nobody' has no initial"}
    }


def test_few_layers_of_our_own_are_counted_and_looked_at_without_any_process(monkeypatch: pytest.MonkeyPatch) -> None:
    cores(monkeypatch, 8)
    started: list[object] = []
    monkeypatch.setattr("attnbench.child.subprocess.Popen", started.append)

    observe_all(Registry(), ["rnn"], ["reach"])
    count_all(Registry(), wanted("rnn", *CHEAP[2:]), ("parameters",), lambda name: None)

    assert started == []

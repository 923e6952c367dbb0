"""Layers checked side by side by real processes: whatever one does there is a row, and the others are checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from attnbench.check.contract import check_layer
from attnbench.check.outcome import Mark, Outcome
from attnbench.execute.checking import check_all
from attnbench.layers.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import psutil

    LeftBehind = Callable[[], list[psutil.Process]]

PLUGIN = '''
"""Decent layers among those that hang, end their process or change it."""
import os
import threading

import torch
from attnbench import Claims, Layer


class Does(torch.nn.Module):
    def __init__(self, what):
        super().__init__()
        self.forward = what


def decent(d):
    return torch.nn.Linear(d, d, bias=False)


def tells(x):
    """Refuses to be called by anyone but a measuring process, which leads a session."""
    assert os.getsid(0) == os.getpid()
    return x


def sets_threads(x):
    torch.set_num_threads(3)
    return x


def layer(name, what):
    return Layer(name, lambda d: Does(what))


LAYERS = [
    Layer("first", decent, claims=Claims(flops="2*b*n*d**2", parameters="d")),
    layer("hangs", lambda x: threading.Event().wait()),
    layer("exits", lambda x: os._exit(3)),
    layer("sets-threads", sets_threads),
    layer("tells", tells),
    Layer("last", decent),
]
'''
FIX = "mend what raises, hangs, ends the process or changes it in build() or forward()"


def ends(found: str) -> list[Outcome]:
    return [Outcome("builds and runs", Mark.FAILED, found, FIX)]


def test_a_layer_that_ends_hangs_or_changes_its_process_is_a_row_and_the_others_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_behind: LeftBehind
) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN, encoding="utf-8")
    registry = Registry([str(tmp_path / "mine.py")])
    names = registry.handed_over
    monkeypatch.setattr("attnbench.execute.checking._SECONDS", 12.0)  # what ends by itself does so in far less

    found = dict(check_all(registry, names))

    assert tuple(found) == names
    assert found["hangs"] == ends("no answer within 12 s")
    assert found["exits"] == ends("the measuring process ended with exit status 3")
    assert found["sets-threads"] == ends("changed the number of threads from 1 to 3")
    assert {outcome.mark for outcome in found["tells"]} == {Mark.PASSED, Mark.HINT}
    assert {outcome.mark for outcome in found["last"]} == {Mark.PASSED}
    assert found["first"] == check_layer(registry.get("first"))
    assert [outcome.check for outcome in found["first"] if outcome.mark is Mark.FAILED] == ["claim of parameters"]
    assert left_behind() == []

"""What is asked for beyond a plain call: one compiled graph, a backend of attention, and the names of what ran."""

from __future__ import annotations

import gc
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from attnbench.execute.process import Process
from attnbench.execute.setup import Setup, compile_folder
from attnbench.measure import compiling
from attnbench.measure.loop import Pace
from attnbench.measure.worker import serve
from attnbench.trial import Choices, Subject, Trial

PLUGIN = '''
"""Layers that can be compiled or not, each for another reason."""
import torch
from attnbench import Layer


class Does(torch.nn.Module):
    def __init__(self, what):
        super().__init__()
        self.forward = what


def branches(x):
    return x if x.sum() > 0 else -x


def differs(x):
    return 2 * x if torch.compiler.is_compiling() else x


def fails(x):
    raise ValueError("a reason")


LAYERS = [
    Layer("doubles", lambda d: Does(lambda x: (2 * x).tanh())),
    Layer("branches", lambda d: Does(branches)),
    Layer("differs", lambda d: Does(differs)),
    Layer("fails", lambda d: Does(fails)),
]
'''


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("plugins") / "special.py"
    path.write_text(PLUGIN, encoding="utf-8")
    return str(path)


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """What `serve` does to its process, undone."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    gc.unfreeze()
    compiling.objection.cache_clear()


@pytest.fixture
def without_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs are made as always, and run as they are: no compiler of C++ takes its seconds."""

    def traced(call: Callable[..., Any]) -> Callable[..., Any]:
        return torch.compile(call, backend="eager", dynamic=False, fullgraph=True)

    compiling.objection.cache_clear()
    monkeypatch.setattr(compiling, "one_graph", traced)


def answer(plugin: str, layer: str, choices: Choices, *, first: bool = True, **sizes: int) -> dict[str, Any]:
    pace = Pace(seconds=0.0, least_blocks=2)
    sizes = {"b": 1, "n": 8, "d": 8} | sizes
    request = {"layer": layer, "sizes": sizes, "choices": asdict(choices), "pace": asdict(pace), "first": first}
    setup = asdict(Setup(1, (plugin,), 5))
    said = io.StringIO()
    serve(io.StringIO(f"{json.dumps(setup)}\n{json.dumps(request)}\n"), said)
    _, line = said.getvalue().splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_only_the_first_visit_names_the_kernels(plugin: str) -> None:
    first, later = (answer(plugin, "doubles", Choices(), first=one) for one in (True, False))

    assert first["kernels"] == ["aten::mul", "aten::tanh"]
    assert "kernels" not in later
    assert "compile_seconds" not in first


@pytest.mark.parametrize("mode", ["forward", "train", "decode"])
@pytest.mark.usefixtures("without_code")
def test_a_layer_that_is_compiled_says_what_that_cost_apart(mode: str, plugin: str) -> None:
    found = answer(plugin, "multi-head-attention", Choices(mode=mode, compile=True), h=2)

    assert (found["status"], found["reason"]) == ("ok", "")
    assert found["compile_seconds"] > found["first_call_seconds"] > 0


@pytest.mark.parametrize(
    ("layer", "status", "reason"),
    [
        ("branches", "unsupported", "layer 'branches' cannot be compiled as one graph: Data-dependent branching"),
        ("rnn", "unsupported", "layer 'rnn' cannot be compiled as one graph: "),
        ("differs", "error", "layer 'differs': compiled, it returns something else, off by up to 1 of the largest"),
        ("fails", "error", "ValueError: a reason"),
    ],
)
@pytest.mark.usefixtures("without_code")
def test_what_cannot_be_compiled_is_unsupported_and_what_compiling_breaks_an_error(
    layer: str, status: str, reason: str, plugin: str
) -> None:
    found = answer(plugin, layer, Choices(compile=True))

    assert found["status"] == status
    assert found["reason"].startswith(reason)


def test_without_a_compiler_nothing_that_is_compiled_is_supported(plugin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(call: Callable[..., Any]) -> Callable[..., Any]:
        raise RuntimeError("No working C++ compiler found\nin (None, 'g++')")

    compiling.objection.cache_clear()
    monkeypatch.setattr(compiling, "one_graph", no_compiler)
    found = answer(plugin, "doubles", Choices(compile=True))

    assert found["status"] == "unsupported"
    assert found["reason"] == "torch.compile does not work here: No working C++ compiler found"


@pytest.mark.parametrize(
    ("layer", "sizes", "sdpa", "reason"),
    [
        (
            "attention-core-fused",
            {"h": 1},
            "efficient",
            "scaled_dot_product_attention has no backend 'efficient' here",
        ),
        ("attention-core-fused", {"h": 1}, "cudnn", "scaled_dot_product_attention has no backend 'cudnn' here"),
        ("doubles", {}, "math", "layer 'doubles' does not call scaled_dot_product_attention, so it has no backend"),
    ],
)
def test_a_backend_that_is_not_there_or_has_nothing_to_do_is_unsupported(
    layer: str, sizes: dict[str, int], sdpa: str, reason: str, plugin: str
) -> None:
    found = answer(plugin, layer, Choices(sdpa=sdpa), **sizes)

    assert found["status"] == "unsupported"
    assert reason in found["reason"]


@pytest.mark.parametrize("sdpa", ["flash", "math"])
def test_the_backend_that_was_chosen_is_the_one_that_ran(sdpa: str, plugin: str) -> None:
    found = answer(plugin, "attention-core-fused", Choices(sdpa=sdpa), h=1)

    assert found["status"] == "ok"
    assert [name for name in found["kernels"] if sdpa in name]


def test_a_process_of_its_own_compiles_with_the_real_compiler(plugin: str) -> None:
    trial = Trial(Subject("doubles", Choices(compile=True)), {"b": 2, "n": 64, "d": 64})
    pace = asdict(Pace(seconds=0.0, least_blocks=2))
    with compile_folder([trial.choices]) as folder:
        with Process(Setup(1, (plugin,), 5).under(trial.choices, folder)) as process:
            first, again = (process.ask(trial, pace, timeout=60.0, first=one) for one in (True, False))
        kept = list(Path(folder).rglob("*.so"))

    assert [first["status"], again["status"]] == ["ok", "ok"]
    assert first["kernels"] == ["inductor::graph"]
    assert first["compile_seconds"] > first["first_call_seconds"]
    assert kept
    assert not Path(folder).exists()


def test_nothing_is_kept_for_a_run_that_compiles_nothing() -> None:
    with compile_folder([Choices(), Choices(sdpa="math")]) as folder:
        setup = Setup(1, (), 5).under(Choices(threads=2), folder)

    assert (folder, setup) == ("", Setup(2, (), 5))
    assert Setup(1, (), 5).under(Choices(), "/tmp/x") == Setup(1, (), 5)  # noqa: S108  no folder is made

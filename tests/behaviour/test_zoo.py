"""A zoo of hostile layers beside decent ones, in one run of real processes: each costs itself and nobody else."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

import attnbench
from attnbench.errors import LayerError
from tests.behaviour import zoo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from attnbench.session.reading import Run

ZOO = str(Path(zoo.__file__))
DECENT = ("feed-forward", "attention-core", "installed-and-decent")
SHORT, LONG = 16, zoo.LONG
ROUNDS, PATIENCE = 2, 4
SUITE = f"""
metrics = ["flops", "parameters", "peak_bytes", "time"]
budget = "1s"
device = "cpu"

[[sweep]]
layers = ["{DECENT[0]}", "{DECENT[1]}", "{DECENT[2]}", "slow-when-long"]
n = [{SHORT}, {LONG}, {2 * LONG}]
d = [8]

[[sweep]]
layers = [{", ".join(f'"{one.name}"' for one in zoo.LAYERS if one.name != "slow-when-long")}]
n = [{SHORT}]
d = [8]
"""
#: Installed distribution → its module.
INSTALLED = {
    "decent": "import torch\nfrom attnbench import Layer\n"
    'LAYER = Layer("installed-and-decent", lambda d: torch.nn.Linear(d, d))\n',
    "deadly": "import os\nos._exit(3)\n",
}
OK = ("ok", "")
#: Layer → status and reason of its trial; a reason that begins or ends alike on every machine, with … for the rest.
EXPECTED = {
    "imports": (
        "error",
        "layer 'imports' cannot be built at b=1, n=16, d=8: ModuleNotFoundError: No module named 'a_package_…",
    ),
    "builds-nothing": (
        "error",
        "layer 'builds-nothing' cannot be built at b=1, n=16, d=8: ValueError: no such width",
    ),
    "turns-gradients-off": ("error", "changed grad mode from on to off"),
    "raises": ("error", "ValueError: not today"),
    "wrong-shape": (
        "error",
        "layer 'wrong-shape' must return shape (b, n, d) = (1, 16, 8), not (1, 1, 8), at b=1, n=16, d=8",
    ),
    "not-a-number": ("error", "the output is not finite on normal random input"),
    "hangs": ("timeout", f"no answer within {PATIENCE} s"),
    "segfaults": ("error", "the measuring process ended with signal 11"),
    "exits": ("error", "the measuring process ended with exit status 3"),
    "leaves": ("error", "SystemExit: goodbye"),
    "interrupts": ("error", "KeyboardInterrupt: mine"),
    "recurses": ("error", "RecursionError: maximum recursion depth exceeded…"),
    "is-killed": ("oom", "the measuring process was killed, most likely because memory ran out"),
    "forks": OK,
    "forks-and-exits": ("error", "the measuring process ended with exit status 7"),
    "leaks": OK,
    "allocates": ("oom", "MemoryError: … (a measuring process may take …iB here)"),
    "allocates-in-pieces": ("oom", "RuntimeError: …can't allocate memory…iB here)"),
    "allocates-as-counted": ("skipped", "its counted memory of … exceeds the …iB that a trial may take here"),
    "prints": OK,
    "closes-streams": OK,
    "reads": OK,
    "sets-threads": ("error", "changed the number of threads from 1 to 4"),
    "sets-dtype": ("error", "changed the default dtype from float32 to float64"),
    "seeds": OK,
    "decides": OK,
}
#: Layer → why it could not be counted.
UNCOUNTED = {
    "imports": "layer 'imports' cannot be built at …: ModuleNotFoundError: …",
    "builds-nothing": "layer 'builds-nothing' cannot be built at …: ValueError: no such width",
    "raises": "layer 'raises' at … raised ValueError: not today",
    "wrong-shape": "layer 'wrong-shape' must return shape (b, n, d) = …",
    "segfaults": "layer 'segfaults' cannot be counted: the measuring process ended with signal 11",
    "recurses": "layer 'recurses' at … raised RecursionError: maximum recursion depth exceeded…",
    "decides": "layer 'decides' at … depends on the values of its input (…); it cannot be counted exactly",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Everything at once."""
    folder = tmp_path_factory.mktemp("zoo")
    suite = folder / "zoo.toml"
    suite.write_text(SUITE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("attnbench.execute.rounds._PATIENCE_SECONDS", PATIENCE)
        patch.setattr("attnbench.execute.rounds._PATIENCE", 1.0)
        patch.setattr("attnbench.execute.rounds.MAX_ROUNDS", ROUNDS)
        patch.setenv("ATTNBENCH_ZOO", str(folder))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *sys.path]))
        patch.syspath_prepend(folder)
        for name, module in INSTALLED.items():
            (folder / f"zoo_{name}.py").write_text(module, encoding="utf-8")
            about = folder / f"zoo_{name}-1.0.dist-info"
            about.mkdir()
            (about / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: zoo-{name}\nVersion: 1.0\n", encoding="utf-8"
            )
            (about / "entry_points.txt").write_text(f"[attnbench.layers]\n{name} = zoo_{name}\n", encoding="utf-8")
        yield attnbench.run(str(suite), results=folder, plugins=[ZOO])


def reads_like(text: str, pattern: str) -> bool:
    """Whether `text` is `pattern`, in which … stands for anything."""
    first, *rest = pattern.split("…")
    if not text.startswith(first):
        return False
    at = len(first)
    for part in rest:
        if (at := text.find(part, at)) < 0:
            return False
        at += len(part)
    return not rest or pattern.endswith("…") or text.endswith(rest[-1])


def test_every_animal_is_expected_to_do_something() -> None:
    assert {*EXPECTED, "slow-when-long"} == {one.name for one in zoo.LAYERS}


@pytest.mark.parametrize("layer", EXPECTED)
def test_each_layer_shows_its_own_status_and_reason(layer: str, run: Run) -> None:
    row = run.records.set_index("layer").loc[layer]
    status, reason = EXPECTED[layer]

    assert row["status"] == status, row["reason"]
    assert reads_like(row["reason"], reason), row["reason"]
    assert row["visits"] == (ROUNDS if status == "ok" else 0 if status == "skipped" else 1)
    assert math.isfinite(row["seconds"]) == (status == "ok")


def test_every_other_trials_figures_are_there(run: Run) -> None:
    rows = run.records[run.records["layer"].isin(DECENT)]

    assert len(rows) == 3 * len(DECENT)
    assert set(rows["status"]) == {"ok"}
    assert set(rows["visits"]) == {ROUNDS}
    assert rows["seconds"].between(0, 1, inclusive="neither").all()
    assert rows["flops"].notna().all()


def test_what_is_slow_when_long_is_measured_where_it_is_not_and_given_up_once_or_twice(run: Run) -> None:
    rows = run.records[run.records["layer"] == "slow-when-long"].set_index("n")

    assert list(rows.index) == [SHORT, LONG, 2 * LONG]
    assert rows["status"].tolist()[:2] == ["ok", "timeout"]
    larger = rows.loc[2 * LONG]
    assert (larger["status"], larger["reason"]) in [
        ("skipped", f"not tried: the smaller b=1, n={LONG}, d=8 took too long"),
        ("timeout", f"no answer within {PATIENCE} s"),
    ]


@pytest.mark.parametrize("layer", UNCOUNTED)
def test_a_layer_that_cannot_be_counted_has_laws_that_say_why(layer: str, run: Run) -> None:
    laws = [law for law in run.found_laws if law.layer == layer and law.metric != "time"]

    assert [law.metric for law in laws] == ["flops", "parameters", "peak_bytes"]
    assert {str(law.verdict) for law in laws} == {"INCONCLUSIVE"}
    assert all(reads_like(law.reason, UNCOUNTED[layer]) for law in laws), laws[0].reason


def test_only_what_cannot_be_counted_is_not_counted(run: Run) -> None:
    without = {law.layer for law in run.found_laws if law.metric == "flops" and not law.formula}

    assert without == set(UNCOUNTED)


def test_nothing_outlives_the_run(run: Run) -> None:
    def was_started_by_it(process: psutil.Process) -> bool:
        try:
            return process.environ().get("ATTNBENCH_ZOO") == str(run.path.parent)
        except psutil.Error:
            return False

    assert [process for process in psutil.process_iter() if was_started_by_it(process)] == []


def test_a_run_of_hostile_layers_has_a_report(run: Run, tmp_path: Path) -> None:
    page = run.report(tmp_path).read_text(encoding="utf-8")

    assert "changed the number of threads from 1 to 4" in page


def test_a_run_in_which_no_layer_can_be_counted_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(LayerError) as caught:
        attnbench.run(_suite_of(tmp_path, "raises"), results=tmp_path / "results", plugins=[ZOO], layers=["raises"])

    assert reads_like(str(caught.value), "layer 'raises' at … raised ValueError: not today")
    assert not (tmp_path / "results").exists()


def _suite_of(folder: Path, *layers: str) -> str:
    suite = folder / "few.toml"
    names = ", ".join(f'"{name}"' for name in layers)
    suite.write_text(f'device = "cpu"\n[[sweep]]\nlayers = [{names}]\nn = [16]\nd = [8]\n', encoding="utf-8")
    return str(suite)

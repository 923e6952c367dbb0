"""The command line: what each command prints where, and one line and an exit code for whatever cannot be."""

from __future__ import annotations

import csv
import io
import json
import shlex
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result

from attnbench.check.outcome import Mark, Outcome
from attnbench.cli import main
from attnbench.formula import Formula
from attnbench.law import COUNTED_METRICS
from attnbench.layers.registry import BUILT_IN, Registry
from attnbench.session.reading import load
from attnbench.version import __version__
from tests.fake_machine import FakeMachine, as_counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAYER = "attention-core-fused"
FILES = {
    "grid.toml": (
        f'title = "A grid"\nbudget = "60s"\n[[sweep]]\nlayers = ["{LAYER}"]\nn = [64, 128, 256]\nd = [64, 128, 256]\n'
    ),
    "not-toml.toml": 'title = "A grid"\nbudget = = "60s"\n',
    "unknown-key.toml": f'titel = "A grid"\n[[sweep]]\nlayers = ["{LAYER}"]\n',
    "unknown-axis.toml": f'[[sweep]]\nlayers = ["{LAYER}"]\nseq = [64]\n',
    "foreign-axis.toml": f'[[sweep]]\nlayers = ["{LAYER}"]\nk = [3]\n',
    "broken.py": '"""A plugin."""\n\nimport nothing_like_this\n',
    "nothing.py": '"""A plugin without a layer."""\n',
    "false_claim.py": (
        '"""Attention that claims to be recurrent."""\n'
        "import torch\n"
        "from attnbench import Claims, Layer\n"
        "class Mixes(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return x @ x.transpose(1, 2) @ x\n"
        'LAYER = Layer("claims-too-little", lambda d: Mixes(), claims=Claims(flops="4*b*n*d**2", time="n*d**2"))\n'
    ),
    "file": "a regular file\n",
    "damaged/run.json": "{\n",
    "older/run.json": '{"schema": 0}\n',
}


def invoke(line: str, machine: FakeMachine | None = None) -> Result:
    return CliRunner().invoke(main, shlex.split(line), obj=machine)


def document(line: str, machine: FakeMachine | None = None) -> Any:
    """What a command with ``--json`` prints, which is one document and nothing else."""
    result = invoke(line, machine)

    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(line: str, machine: FakeMachine | None = None) -> str:
    """The one line that a command says when it cannot do what was asked."""
    result = invoke(line, machine)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("Error: ").strip()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    """A machine without an accelerator that answers at once."""
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    return FakeMachine(as_counted(), noise=0.02)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with good and bad files in it."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A finished run of the grid."""
    folder = tmp_path_factory.mktemp("stored")
    (folder / "grid.toml").write_text(FILES["grid.toml"], encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.accelerator, "is_available", lambda: False)
        line = f"run --suite {folder}/grid.toml --results {folder}/results --reports {folder}/reports --json"
        done = document(line, FakeMachine(as_counted(), noise=0.02))
        patch.chdir(folder)
        yield folder / done["run"]


# ------------------------------------------------------------------------------------------------------ bad input

EITHER_OR = "give either --suite NAME|FILE or --resume RUN; `attnbench list suites` shows the suites"
A_DURATION = "--budget: a duration such as 60s, 2m or 1h is needed, not"
BAD = {
    "run": EITHER_OR,
    "run --suite smoke --resume x": EITHER_OR,
    "run --resume x --seed 0": "--resume continues a run as it was ordered; leave out --seed",
    "run --suite nowhere.toml": "suite nowhere.toml: there is no such file",
    "run --suite not-toml.toml": "suite not-toml.toml is not valid TOML: Invalid value (at line 2, column 10)",
    "run --suite unknown-key.toml": "suite unknown-key.toml: unknown key 'titel'. Did you mean 'title'?",
    "run --suite foreign-axis.toml": f"no layer of the sweep over {LAYER} has an axis 'k'.",
    "run --suite smoke --layer rn": "unknown layer 'rn'. Did you mean 'rnn'?",
    "run --suite smoke --layer zzz": "unknown layer 'zzz'. `attnbench list layers` shows all.",
    "run --suite smoke --set n=-64": "--set n needs a positive whole number, not '-64'",
    "run --suite smoke --set n=0": "--set n needs a positive whole number, not '0'",
    "run --suite smoke --set n=many": "--set n needs a positive whole number, not 'many'",
    "run --suite smoke --set n=1.5": "--set n needs a positive whole number, not '1.5'",
    "run --suite smoke --set n=64,,128": "--set n needs a positive whole number, not ''",
    "run --suite smoke --set n": "--set n: write an axis and its sizes, such as n=128,256 or n=auto",
    "run --suite smoke --set k=3": "--set k: no layer of this run has such an axis; they have b, n, d, h",
    "run --suite smoke --set hh=3": "--set hh=3: unknown axis 'hh'. Did you mean 'h'?",
    "run --suite grid.toml --set d=100 --set h=3": (
        f"layer '{LAYER}' needs d % h == 0, which b=1, n=64, d=100, h=3 does not satisfy"
    ),
    "run --suite smoke --layer multi-head-attention --set d=100 --set h=3": (
        "layer 'multi-head-attention' needs d % h == 0, which b=1, n=1, d=100, h=3 does not satisfy"
    ),
    "run --suite smoke --budget 0s": f"{A_DURATION} '0s'",
    "run --suite smoke --budget soon": f"{A_DURATION} 'soon'",
    "run --suite smoke --budget -5s": f"{A_DURATION} '-5s'",
    "run --suite smoke --budget 60": f"{A_DURATION} '60'",
    "run --suite smoke --budget=": f"{A_DURATION} ''",
    "run --suite smoke --device cuda": "device 'cuda' is not on this machine; it has cpu",
    "run --suite smoke --device tpu": "device 'tpu' is not on this machine; it has cpu",
    "run --suite smoke --plugin broken.py": (
        "plugin broken.py, line 3: ModuleNotFoundError: No module named 'nothing_like_this'"
    ),
    "run --suite smoke --plugin nothing.py": "plugin nothing.py: it exposes neither LAYER nor LAYERS",
    "run --suite smoke --plugin nowhere.py": "plugin nowhere.py: there is no such file",
    "run --suite smoke --results file/below": "--results file/below: {here}/file is not a folder; choose another place",
    "run --suite smoke --reports file/below": "--reports file/below: {here}/file is not a folder; choose another place",
    "run --resume nowhere": "nowhere is not a run. `attnbench list runs` shows the runs in results",
    "run --resume damaged": (
        "damaged/run.json is damaged: JSONDecodeError Expecting property name enclosed in double quotes: "
        "line 2 column 1 (char 2)"
    ),
    "run --resume damaged --budget 9s --set n=8": (
        "--resume continues a run as it was ordered; leave out --budget, --set"
    ),
    "run --resume damaged --dry-run": "--resume continues a run as it was ordered; leave out --dry-run",
    "plan --suite smoke --layer rn": "unknown layer 'rn'. Did you mean 'rnn'?",
    "show rn": "unknown layer 'rn'. Did you mean 'rnn'?",
    "show rnn --plugin broken.py": "plugin broken.py, line 3: ModuleNotFoundError: No module named 'nothing_like_this'",
    "count rn": "unknown layer 'rn'. Did you mean 'rnn'?",
    "count rnn --at q=3": "layer 'rnn' has no axis 'q'. It has b, n, d.",
    "count rnn --at n": "sizes are written n=128,d=64; 'n' in 'n' is not",
    "count rnn --at=": "sizes are written n=128,d=64; '' in '' is not",
    "count rnn --at n=0": "n in 'n=0' needs a positive whole number, not '0'",
    "count rnn --at n=8,n=9": "axis 'n' is given twice in 'n=8,n=9'; keep one",
    "count conv1d --at k=2": "layer 'conv1d' needs k % 2 == 1, which b=1, n=256, d=256, k=2 does not satisfy",
    "laws nowhere": "nowhere is not a run. `attnbench list runs` shows the runs in results",
    "laws older": "older/run.json has schema 0; this version reads schema 1",
    "laws damaged --json": (
        "damaged/run.json is damaged: JSONDecodeError Expecting property name enclosed in double quotes: "
        "line 2 column 1 (char 2)"
    ),
    "report nowhere": "nowhere is not a run. `attnbench list runs` shows the runs in results",
    "export nowhere": "nowhere is not a run. `attnbench list runs` shows the runs in results",
    "list layers --plugin broken.py": (
        "plugin broken.py, line 3: ModuleNotFoundError: No module named 'nothing_like_this'"
    ),
}


@pytest.mark.parametrize("line", BAD)
def test_bad_input_is_one_line_and_exit_code_2_and_nothing_is_written(
    line: str, here: Path, machine: FakeMachine
) -> None:
    before = sorted(here.rglob("*"))

    result = invoke(line, machine)

    assert result.stderr == f"Error: {BAD[line].format(here=here)}\n"
    assert (result.exit_code, result.stdout) == (2, "")
    assert (sorted(path for path in here.rglob("*") if "__pycache__" not in path.parts), machine.started) == (before, 0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("run --suite smok", "unknown suite 'smok'. Did you mean 'smoke'? Shipped: "),
        ("plan --suite smok", "unknown suite 'smok'. Did you mean 'smoke'? Shipped: "),
        (
            "run --suite unknown-axis.toml",
            "suite unknown-axis.toml, sweep 1: unknown key 'seq'. Known: layers, b, n, d, ",
        ),
    ],
)
def test_a_long_list_of_what_there_is_ends_the_line(line: str, message: str, here: Path, machine: FakeMachine) -> None:
    result = invoke(line, machine)

    assert result.stderr.startswith(f"Error: {message}")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("frobnicate", "No such command 'frobnicate'."),
        ("plan", "Missing option '--suite'."),
        ("laws", "Missing argument 'RUN'."),
        ("run --suite smoke --seed x", "Invalid value for '--seed': 'x' is not a valid integer."),
        (
            "run --suite smoke --fail-on worse",
            "Invalid value for '--fail-on': 'worse' is not one of 'refuted', 'inconclusive'.",
        ),
        (
            "export x --format pdf",
            (
                "Invalid value for '--format': "
                "'pdf' is not one of 'csv', 'parquet', 'markdown', 'latex', 'pytest-benchmark'."
            ),
        ),
    ],
)
def test_bad_usage_shows_the_usage_and_ends_with_what_is_wrong(line: str, message: str, here: Path) -> None:
    result = invoke(line)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Usage: ")
    assert result.stderr.splitlines()[-1] == f"Error: {message}"


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ("rnn=n*d", "--claim rnn=n*d: the run has no layer 'rnn'."),
        (
            "attention-core=n*d",
            f"--claim attention-core=n*d: the run has no layer 'attention-core'. Did you mean '{LAYER}'?",
        ),
        (LAYER, f"--claim {LAYER}: write a layer and a formula, such as rnn=n*d**2"),
        (f"{LAYER}=n*q**2", f"--claim {LAYER}=n*q**2: layer '{LAYER}' has no axis 'q'."),
    ],
)
def test_a_claim_about_something_else_is_refused(claim: str, message: str, stored: Path) -> None:
    result = invoke(f"laws {stored} --claim {claim}")

    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"Error: {message}\n")


@pytest.mark.parametrize("formula", ["n*", "n +* d", "__import__('os')", "n**d", ""])
def test_a_claim_that_cannot_be_read_is_one_line(formula: str, stored: Path) -> None:
    result = invoke(f'laws {stored} --claim "{LAYER}={formula}"')

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1


# ------------------------------------------------------------------------------------------------------------ a run


def test_a_run_prints_its_laws_and_where_they_are(here: Path, machine: FakeMachine) -> None:
    result = invoke("run --suite grid.toml --results R --reports P", machine)

    (folder,) = (here / "R").iterdir()
    assert result.exit_code == 0
    assert "CONFIRMED" in result.stdout
    assert result.stdout.endswith(f"\nrun     R/{folder.name}\nreport  {result.stdout.split()[-1]}\n")
    assert (here / result.stdout.split()[-1]).is_file()
    assert [line.partition(" s  ")[2] for line in result.stderr.splitlines()] == [
        "counting on fake tensors",
        "calibrating: short probes to find where each law can be read",
        "measuring",
        "fitting",
    ]


def test_with_json_standard_output_is_one_document_and_prose_goes_to_standard_error(
    here: Path, machine: FakeMachine
) -> None:
    result = invoke("run --suite grid.toml --json", machine)

    document = json.loads(result.stdout)
    assert list(document) == ["run", "report", "laws"]
    assert [(law["metric"], law["verdict"]) for law in document["laws"]] == [
        ("flops", "CONFIRMED"),
        ("parameters", "CONFIRMED"),
        ("peak_bytes", "INFERRED"),
        ("time", "CONFIRMED"),
    ]
    assert (here / document["run"] / "laws.json").is_file()
    assert (here / document["report"]).is_file()
    assert "measuring" in result.stderr


def test_options_of_a_run_are_kept_with_it(here: Path, machine: FakeMachine) -> None:
    done = document("run --suite grid.toml --set n=32,64 --set h=1,3 --budget 2m --seed 5 --device cpu --json", machine)

    run = load(done["run"])
    status = run.records.set_index(["n", "d", "h"])["status"]
    assert (run.info.seed, run.info.plan.suite.budget) == (5, 120.0)
    assert set(run.records["n"]) == {32, 64}
    assert set(status.xs(1, level="h")) == {"ok"}
    assert set(status.xs(3, level="h")) == {"skipped"}
    assert set(run.records.loc[run.records["h"] == 3, "reason"]) == {
        f"the layer needs d % h == 0, which b=1, n={n}, d={d}, h=3 does not satisfy"
        for n in (32, 64)
        for d in (64, 128, 256)
    }


@pytest.mark.parametrize("line", ["run --suite grid.toml --dry-run", "plan --suite grid.toml"])
def test_a_dry_run_prints_the_plan_and_writes_nothing(line: str, here: Path, machine: FakeMachine) -> None:
    before = sorted(here.rglob("*"))

    result = invoke(line, machine)

    assert result.exit_code == 0
    assert sorted(here.rglob("*")) == before
    assert f"{LAYER}: b = 1, n 64–256, d 64–256, h = 1: sizes as given." in result.stdout
    assert [row.split()[0] for row in result.stdout.splitlines() if row.endswith(" planned")] == [
        f"{LAYER}-cpu-float32-forward-t1-b1-n{n}-d{d}-h1" for n in (64, 128, 256) for d in (64, 128, 256)
    ]


def test_a_dry_run_as_json_holds_suite_laws_windows_and_trials(here: Path, machine: FakeMachine) -> None:
    plan = document("run --suite grid.toml --set h=1,3 --dry-run --json", machine)

    assert list(plan) == ["suite", "laws", "windows", "trials"]
    assert plan["suite"]["sweep"] == [{"layers": [LAYER], "n": [64, 128, 256], "d": [64, 128, 256], "h": [1, 3]}]
    assert len(plan["trials"]) == 18
    assert {row["skipped"] is None for row in plan["trials"] if row["h"] == 1} == {True}
    assert plan["trials"][1]["skipped"] == "the layer needs d % h == 0, which b=1, n=64, d=64, h=3 does not satisfy"
    assert all(row["visit_seconds"] > 0 for row in plan["trials"])


@pytest.mark.parametrize(
    ("fail_on", "plugin", "seconds", "code", "said"),
    [
        ("refuted", "", None, 0, None),
        ("inconclusive", "", None, 0, None),
        ("refuted", "", "n*d", 0, None),
        ("inconclusive", "", "n*d", 1, f"--fail-on inconclusive: {LAYER} time OUT-OF-REGIME"),
        (
            "refuted",
            "--plugin false_claim.py --layer claims-too-little --set b=1 --set n=64,128,256 --set d=64,128,256",
            "4*n**2*d",
            1,
            "--fail-on refuted: claims-too-little flops REFUTED, claims-too-little time REFUTED",
        ),
    ],
    ids=["all well", "all settled", "not refuted", "out of regime", "refuted"],
)
def test_fail_on_turns_a_verdict_into_exit_code_1(
    fail_on: str, plugin: str, seconds: str | None, code: int, said: str | None, here: Path, machine: FakeMachine
) -> None:
    if seconds is not None:
        machine.seconds = lambda trial: float(Formula(seconds).evaluate(trial.sizes)) / 1e8

    result = invoke(f"run --suite grid.toml --fail-on {fail_on} {plugin}", machine)

    assert result.exit_code == code
    assert [line for line in result.stderr.splitlines() if line.startswith("--fail-on")] == ([said] if said else [])
    assert any((here / "results").iterdir())


def test_an_interrupt_ends_with_130_and_the_line_to_resume(here: Path, machine: FakeMachine) -> None:
    machine.interrupt_at = 5

    result = invoke("run --suite grid.toml --json", machine)

    (folder,) = (here / "results").iterdir()
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.splitlines()[-1] == (
        f"Error: interrupted; everything measured is kept. To continue: attnbench run --resume results/{folder.name}"
    )
    machine.interrupt_at = None
    assert len(load(folder).visits) == 4
    assert document(f"run --resume {folder.name} --json", machine)["run"] == f"results/{folder.name}"
    assert len(load(folder).visits) == 27


def test_an_interrupt_before_anything_was_measured_says_so(
    here: Path, machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("attnbench.session.prepare.make_plan", interrupt)
    before = sorted(here.rglob("*"))

    result = invoke("run --suite grid.toml", machine)

    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.splitlines()[-1] == "Error: interrupted before the first measurement; nothing was written"
    assert sorted(here.rglob("*")) == before


def test_an_interrupt_while_the_report_is_drawn_does_not_say_that_nothing_was_written(
    here: Path, machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("attnbench.session.reading.Run.report", interrupt)

    result = invoke("run --suite grid.toml", machine)

    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == "Error: interrupted; what was measured before is on disk"
    assert (next((here / "results").iterdir()) / "laws.json").exists()


# ------------------------------------------------------------------------------------------------------ layers


AT = {"n": 24, "d": 16}
AT_A_POINT = ["flops", "parameters", "peak_bytes", "saved_bytes", "depth"]


@pytest.mark.parametrize("layer", ["attention-core-fused", "rnn", "conv1d-causal", "fully-connected"])
def test_counting_a_layer_as_json_keeps_its_contract(layer: str) -> None:
    counted, known = document(f"count {layer} --at b=2,n=24,d=16 --json"), document(f"count {layer} --json")

    found = Registry().get(layer)
    assert list(counted) == ["layer", "mode", "at", "values", "lower_bound", "uncounted"]
    assert (counted["layer"], counted["mode"]) == (layer, "forward")
    assert counted["at"] == found.complete({"b": 2, **AT})
    assert list(counted["values"]) == AT_A_POINT
    assert list(known) == ["layer", "mode", "at", "formulas", "reasons", "lower_bound", "uncounted"]
    assert list(known["formulas"]) == list(known["reasons"]) == list(COUNTED_METRICS)
    for metric in ("flops", "parameters"):
        claimed = Formula(found.claims.given[metric])
        assert counted["values"][metric] == claimed.evaluate(counted["at"])
    for metric in AT_A_POINT:
        assert Formula(known["formulas"][metric]).evaluate(counted["at"]) == counted["values"][metric]
    assert (counted["lower_bound"], counted["uncounted"]) == (False, [])


def test_a_path_without_end_is_a_word_in_json() -> None:
    assert document("count feed-forward --json")["formulas"]["hops"] == "inf"


def test_counting_without_sizes_has_formulas_and_no_values() -> None:
    counted = document("count conv1d --json")

    assert "values" not in counted
    assert counted["at"] is None
    assert counted["reasons"]["flops"].startswith("exact at 9 sizes and 10 held-out ones")


@pytest.mark.parametrize(
    ("mode", "flops", "metrics"),
    [
        ("train", "6*b*k*n*d**2", set(COUNTED_METRICS) - {"flops_needed", "hops", "hops_rf"}),
        ("decode", "2*b*k*d**2", {"depth"}),
    ],
)
def test_training_and_decoding_are_counted_like_a_call(mode: str, flops: str, metrics: set[str]) -> None:
    counted = document(f"count conv1d-causal --mode {mode} --at n=24,d=16 --json")
    known = document(f"count conv1d-causal --mode {mode} --json")

    assert counted["mode"] == known["mode"] == mode
    assert known["formulas"]["flops"] == flops
    assert counted["values"]["flops"] == Formula(flops).evaluate(counted["at"])
    assert metrics <= set(known["formulas"])


def test_a_layer_that_cannot_decode_says_so_and_nothing_else() -> None:
    assert refused("count conv1d --mode decode") == (
        "layer 'conv1d' cannot decode: its module has no prefill(context) and step(token, state)"
    )


def test_counting_for_people_writes_formulas_and_numbers_with_units_and_what_a_number_does_not_see() -> None:
    formulas, values = invoke("count conv1d").stdout, invoke("count conv1d --at n=8,d=4").stdout

    assert formulas.startswith("conv1d\n  flops         2bknd²  (matrix work, as computed: masked scores")
    assert "4bnd  (live tensors beyond inputs and parameters; scratch inside a kernel is not seen)" in formulas
    assert values.startswith("conv1d\nat b=1, n=8, d=4, k=3\n  flops        768 (768 FLOP)\n  parameters   48\n")


PARTLY = """
import torch
from attnbench import Layer

class Chosen(torch.nn.Module):
    def __init__(self, d):
        super().__init__()
        self.dense = torch.nn.Linear(d, d)

    def forward(self, x):
        return self.dense(x) * len(x.sum(-1).nonzero())

class Pooled(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x).mean(1)

LAYERS = [
    Layer("chosen", lambda d, h=2, g=1, f=4: Chosen(d), constraints=("d % (2*h) == 0", "h % g == 0")),
    Layer("pooled", lambda d: Pooled(d, d), inputs=lambda b, n, d: torch.randn(b, n, d)),
    Layer("never", lambda d: torch.nn.Linear(d + 1, d)),
]
"""


def test_a_metric_that_cannot_be_had_costs_its_own_line(tmp_path: Path) -> None:
    (tmp_path / "partly.py").write_text(PARTLY)
    pooled = document(f"count pooled --plugin {tmp_path}/partly.py --json")
    chosen = document(f"count chosen --plugin {tmp_path}/partly.py --json")
    shown = invoke(f"show chosen --plugin {tmp_path}/partly.py")

    assert {metric for metric, formula in pooled["formulas"].items() if not formula} == {"hops", "hops_rf"}
    assert pooled["formulas"]["flops"] == "2*b*n*d**2"
    assert "no tensor with a dimension of n" in pooled["reasons"]["hops"]
    assert chosen["formulas"]["flops"] == ""
    assert "depends on the values of its input" in chosen["reasons"]["flops"]
    assert chosen["formulas"]["hops"] == "inf"
    assert shown.exit_code == 0


def test_a_layer_of_which_nothing_can_be_counted_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "partly.py").write_text(PARTLY)

    assert refused(f"count never --plugin {tmp_path}/partly.py").startswith("layer 'never' at b=3, n=12, d=24 raised")


def test_what_is_known_at_an_interrupt_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(counter: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("attnbench.counting.counter.Counter._needed", stop)
    result = invoke("count conv1d")

    assert result.exit_code == 130
    assert result.stdout.startswith("conv1d\n  flops  2bknd²")


def test_probing_needs_a_size() -> None:
    assert refused("count conv1d --probe") == "--probe runs the layer at a size; add --at, such as --at n=1024,d=64"


def test_a_probe_stands_beside_the_count() -> None:
    counted = document("count attention-core --at n=512,d=64 --probe --json")

    assert counted["probes"]["allocator"] == counted["values"]["peak_bytes"] == 8 * 512**2 + 4 * 512 * 64
    assert counted["probes"]["process"] > 8 * 512**2


def test_a_plugin_is_counted_and_shown_like_a_built_in_layer(here: Path) -> None:
    assert document("count claims-too-little --plugin false_claim.py --at n=2,d=3 --json")["values"]["flops"] == 48

    shown = invoke("show claims-too-little --plugin false_claim.py").stdout
    assert shown.startswith(
        "claims-too-little\n  Attention that claims to be recurrent.\n  source  not given (false_claim.py)\n"
        "  scope   layer; axes b, n, d; modes forward, train\n  flops         ✗ counted 4bn²d; claimed 4bnd²\n"
    )


def test_showing_a_layer_puts_its_claims_beside_the_count() -> None:
    shown = invoke("show conv1d").stdout.splitlines()

    assert shown[0] == "conv1d"
    assert shown[2] == "  source  Vaswani et al. 2017, section 4 and Table 1 (built in)"
    assert shown[3] == "  scope   layer; axes b, n, d, k; modes forward, train"
    assert {
        "  flops         ✓ counted 2bknd²; claimed 2bknd²",
        "  parameters    ✓ counted kd²; claimed kd²",
        "  depth         ✓ counted 1; claimed 1",
        "  hops          ✓ counted ⌈2(n − 1)/(k − 1)⌉; claimed n/k",
        "  time            not counted; claimed knd²",
    } <= set(shown)


def test_checking_shows_a_mark_for_each_check_and_the_fix_for_what_is_wrong(here: Path) -> None:
    result = invoke("check --plugin false_claim.py conv1d claims-too-little")
    rows = [line.split(maxsplit=1) for line in result.stdout.splitlines()]
    wrong = [row for row in rows if row[0] in ("✗", "→")]

    assert result.exit_code == 1
    assert ["✓", "conv1d  15 checks"] in rows
    assert [" ".join(row).split() for row in wrong] == [
        "✗ claims-too-little 12 checks".split(),
        "→ define the factory with def at the top of the module, and not as a lambda or within a function".split(),
        "✗ claim of flops claimed 4bnd², counted 4bn²d".split(),
        '→ claim flops="4*b*n**2*d", or change the layer'.split(),
        "✗ claim of time claimed nd², and the work is 4bn²d, which outgrows the claim".split(),
        '→ claim time="b*n**2*d", or change the layer'.split(),
    ]
    assert result.stderr == "1 of 2 break the contract: claims-too-little\n"


def test_checking_as_json_prints_one_document(here: Path) -> None:
    result = invoke("check claims-too-little --plugin false_claim.py --json")
    document = json.loads(result.stdout)
    (layer,) = document["layers"]

    assert result.exit_code == 1
    assert document["passed"] is layer["passed"] is False
    assert document["broken"] == {}
    assert (layer["layer"], layer["origin"]) == ("claims-too-little", "false_claim.py")
    assert [row["check"] for row in layer["checks"] if row["mark"] == "failed"] == ["claim of flops", "claim of time"]
    assert {tuple(row) for row in layer["checks"]} == {("check", "mark", "found", "fix")}


def test_checking_all_shows_one_line_for_a_layer_that_keeps_the_contract_and_fails_for_a_broken_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def found(registry: Registry, names: tuple[str, ...]) -> Iterator[tuple[str, list[Outcome]]]:
        registry.broken["ring 1.0"] = "plugin ring 1.0: no module named ring"
        yield from ((name, [Outcome("shape", Mark.PASSED, "right")]) for name in names)

    monkeypatch.setattr("attnbench.execute.checking.check_all", found)

    every, one = invoke("check --all"), invoke("check rnn")

    assert every.stdout.splitlines() == [
        *(f"✓ {name}  1 checks" for name in BUILT_IN),
        "✗ plugin ring 1.0: no module named ring",
    ]
    assert (every.exit_code, every.stderr) == (1, f"1 of {len(BUILT_IN) + 1} break the contract: ring 1.0\n")
    assert (one.exit_code, one.stderr) == (0, "")


def test_checking_nothing_says_what_to_name() -> None:
    assert refused("check") == "name the layers to check, or give --all or --plugin"


# ------------------------------------------------------------------------------------------------------- what there is


def test_layers_are_listed_with_what_they_are_and_where_they_come_from(here: Path) -> None:
    layers = document("list layers --plugin false_claim.py --json")

    assert {row["name"] for row in layers} >= {*BUILT_IN, "claims-too-little"}
    assert all(list(row) == ["name", "summary", "origin"] and row["summary"] for row in layers)
    assert {row["name"]: row["origin"] for row in layers}["rnn"] == "built in"
    assert {row["name"]: row["origin"] for row in layers}["claims-too-little"] == "false_claim.py"


def test_suites_are_listed_with_the_question_they_ask() -> None:
    suites = {row["name"]: row for row in document("list suites --json")}

    assert {"smoke", "scaling"} <= set(suites)
    assert suites["smoke"] == {
        "name": "smoke",
        "title": "Smoke test",
        "question": "Does the whole pipeline work on this machine?",
    }


def test_a_list_of_nothing_in_particular_holds_layers_and_suites(here: Path) -> None:
    assert list(document("list --json")) == ["layers", "suites"]
    assert [line for line in invoke("list").stdout.splitlines() if not line.startswith(" ")] == ["layers", "suites"]


def test_devices_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)

    assert document("list devices --json") == [{"name": "cpu"}]


def test_runs_are_listed_newest_first_and_a_damaged_one_is_a_line(stored: Path, here: Path) -> None:
    (row,) = document(f"list runs --results {stored.parent} --json")

    assert (row["name"], row["verdicts"]) == (stored.name, "1 CONFIRMED")
    assert invoke("list runs").stdout == "runs\n  none yet\n"
    assert "damaged  damaged/run.json is damaged: JSONDecodeError" in invoke("list runs --results .").stdout


# --------------------------------------------------------------------------------------------------------- stored runs

LAW_KEYS = [
    "layer",
    "device",
    "dtype",
    "mode",
    "threads",
    "scope",
    "metric",
    "claim",
    "formula",
    "exponents",
    "terms",
    "window",
    "trials",
    "verdict",
    "reason",
]


def test_laws_as_json_keep_their_contract(stored: Path) -> None:
    laws = document(f"laws {stored} --json")

    assert [law["metric"] for law in laws] == ["flops", "parameters", "peak_bytes", "time"]
    assert all(list(law)[: len(LAW_KEYS)] == LAW_KEYS for law in laws)
    time = laws[-1]
    assert {key: time[key] for key in ("layer", "device", "dtype", "mode", "threads", "scope", "claim", "verdict")} == {
        "layer": LAYER,
        "device": "cpu",
        "dtype": "float32",
        "mode": "forward",
        "threads": 1,
        "scope": "core",
        "claim": "n**2*d",
        "verdict": "CONFIRMED",
    }
    assert (time["window"], time["trials"]) == ({"n": [64, 256], "d": [64, 256]}, 9)
    for axis, claimed in (("n", 2), ("d", 1)):
        exponent = time["exponents"][axis]
        assert list(exponent) == ["value", "low", "high", "level", "claimed"]
        assert exponent["low"] <= exponent["value"] <= exponent["high"]
        assert (exponent["level"], exponent["claimed"]) == (0.9, claimed)
    (term,) = time["terms"]
    assert set(term) >= {"term", "coefficient", "low", "high", "share"}


def test_laws_are_those_of_the_run_and_can_be_asked_for_by_its_name(stored: Path) -> None:
    laws = document(f"laws {stored.name} --results {stored.parent} --json")

    assert laws == [law.as_json(curves=False) for law in load(stored).found_laws]


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [("n**2*d", "CONFIRMED"), ("4*n**2*d", "CONFIRMED"), ("n*d", "REFUTED"), ("n*d**2", "REFUTED")],
)
def test_another_claim_can_be_judged_afterwards(claim: str, verdict: str, stored: Path) -> None:
    law = document(f"laws {stored} --claim '{LAYER}={claim}' --json")[-1]

    assert (law["claim"], law["verdict"]) == (claim, verdict)


def test_laws_for_people_are_a_table_with_the_reason(stored: Path) -> None:
    result = invoke(f"laws {stored}")

    assert result.stdout.splitlines()[0].split() == ["layer", "metric", "claim", "found", "verdict", "reason"]
    assert "n²d" in result.stdout
    assert result.stderr == ""


def test_a_name_that_is_nearly_a_run_gets_a_hint(stored: Path) -> None:
    result = invoke(f"laws {stored.name[:-1]} --results {stored.parent}")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"Error: {stored.name[:-1]} is not a run. Did you mean '{stored.name}'? "
        f"`attnbench list runs` shows the runs in {stored.parent}\n"
    )


@pytest.mark.parametrize("table", ["records", "samples", "laws"])
def test_a_table_is_exported_as_csv_that_reads_back(table: str, stored: Path) -> None:
    result = invoke(f"export {stored} --table {table}")

    frame = getattr(load(stored), table)
    back = pd.read_csv(io.StringIO(result.stdout), keep_default_na=False, na_values=[""])
    assert list(back.columns) == list(frame.columns)
    assert len(back) == len(frame)
    if table == "samples":
        assert list(back["seconds"]) == pytest.approx(list(frame["seconds"]), rel=1e-12)
        assert list(back["trial"]) == list(frame["trial"])


def test_a_table_is_exported_as_markdown_that_reads_back(stored: Path) -> None:
    result = invoke(f"export {stored} --format markdown")

    header, rule, *rows = (line.strip("| ").split(" | ") for line in result.stdout.splitlines())
    frame = load(stored).records
    assert (header, set(rule)) == (list(frame.columns), {"---"})
    assert [row[0] for row in rows] == list(frame["trial"])
    assert {len(row) for row in rows} == {len(header)}


@pytest.mark.parametrize("form", ["csv", "parquet", "markdown", "latex", "pytest-benchmark"])
def test_an_export_is_written_to_a_file_and_its_name_printed(form: str, stored: Path, tmp_path: Path) -> None:
    file = tmp_path / "table"

    result = invoke(f"export {stored} --format {form} --output {file}")

    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{file}\n", "")
    assert file.read_bytes() == invoke(f"export {stored} --format {form}").stdout_bytes


def test_a_file_that_cannot_be_written_is_one_line(stored: Path, tmp_path: Path) -> None:
    said = refused(f"export {stored} --output {tmp_path}/none/table.csv")

    assert (
        said == f"--output {tmp_path}/none/table.csv cannot be written: No such file or directory; choose another place"
    )


def test_a_terminal_is_shown_no_binary(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnbench.cli.exporting.shows_text_only", lambda: True)

    assert refused(f"export {stored} --format parquet") == (
        "--format parquet is binary, which no terminal shows; add --output FILE"
    )


@pytest.mark.parametrize("line", ["run --suite grid.toml --quiet", "plan --suite grid.toml -q"])
def test_a_quiet_run_says_nothing_but_its_results(line: str, here: Path, machine: FakeMachine) -> None:
    result = invoke(line, machine)

    assert (result.exit_code, result.stderr) == (0, "")
    assert LAYER in result.stdout


def test_a_new_layer_as_json_says_what_was_written_and_what_to_do_next(here: Path) -> None:
    told = document("new layer my-layer --json")

    assert told["written"] == "my_layer.py"
    assert told["next"][0] == "attnbench check --plugin my_layer.py"


def test_a_layer_as_json_has_its_claims_beside_the_count() -> None:
    told = document("show conv1d --json")

    assert (told["layer"], told["scope"], told["axes"]) == ("conv1d", "layer", ["b", "n", "d", "k"])
    assert told["metrics"]["flops"] == {
        "claim": "2*b*k*n*d**2",
        "formula": "2*b*k*n*d**2",
        "lower_bound": False,
        "verdict": "CONFIRMED",
        "reason": "exact at 9 sizes and 10 held-out ones, odd and prime among them, n up to 1048576",
    }
    assert told["metrics"]["time"] == {
        "claim": "k*n*d**2",
        "formula": None,
        "lower_bound": False,
        "verdict": None,
        "reason": "",
    }


def test_csv_is_the_default_format_and_records_the_default_table(stored: Path) -> None:
    (first, *_rest) = csv.DictReader(io.StringIO(invoke(f"export {stored}").stdout))

    assert (first["trial"], first["status"], first["n"]) == (
        f"{LAYER}-cpu-float32-forward-t1-b1-n64-d64-h1",
        "ok",
        "64",
    )


def test_a_report_is_written_again_and_its_path_printed(stored: Path, here: Path) -> None:
    result = invoke(f"report {stored} --reports pages")

    page = here / result.stdout.strip()
    assert (result.exit_code, result.stderr) == (0, "")
    assert page.is_relative_to(here / "pages")
    assert "A grid" in page.read_text(encoding="utf-8")


def test_a_report_opens_only_when_asked(stored: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("click.launch", opened.append)

    closed, path = invoke(f"report {stored}"), invoke(f"report {stored} --open").stdout.strip()

    assert closed.exit_code == 0
    assert opened == [path]


# -------------------------------------------------------------------------------------------------------- the rest


def test_the_version_and_the_help_are_there() -> None:
    assert invoke("--version").stdout == f"attnbench, version {__version__}\n"
    assert invoke("-h").stdout == invoke("--help").stdout
    listed = invoke("--help").stdout
    assert all(
        f"\n  {command} " in listed for command in ("run", "plan", "list", "show", "count", "laws", "report", "export")
    )


@pytest.mark.parametrize("command", main.commands)
def test_every_command_has_help_that_ends_with_0(command: str) -> None:
    result = invoke(f"{command} --help")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Usage: main {command} ")

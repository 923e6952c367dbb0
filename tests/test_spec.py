"""Suites: what a file may say, what it means, and one clear sentence for everything else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from attnbench.errors import SuiteError
from attnbench.layers.registry import Registry
from attnbench.spec import Suite, Sweep, from_mapping, load_suite, parse_axis, shipped
from attnbench.trial import Choices

if TYPE_CHECKING:
    from pathlib import Path

SWEEP = {"layers": ["rnn"]}
KEYS = "title, question, metrics, budget, device, dtype, mode, threads, compile, sdpa, pictures, sweep"


def suite(**content: Any) -> Suite:
    return from_mapping({"sweep": [SWEEP], **content}, name="mine", where="mine.toml")


def sizes_of(value: Any) -> Any:
    return suite(sweep=[{**SWEEP, "n": value}]).sweeps[0].axes["n"]


# --------------------------------------------------------------------------------------------------- what is meant


def test_a_suite_needs_no_more_than_a_layer() -> None:
    assert suite() == Suite(
        name="mine",
        title="mine",
        question="",
        metrics=("flops", "parameters", "peak_bytes", "time"),
        budget=60,
        devices=("auto",),
        dtypes=("float32",),
        modes=("forward",),
        threads=(1,),
        sweeps=(Sweep(("rnn",), {}),),
    )


def test_every_key_is_read() -> None:
    read = suite(
        title="T",
        question="Q?",
        metrics=["time", "flops"],
        budget="2m",
        device=["cpu", "cuda:1"],
        dtype="float64",
        mode=["train", "decode"],
        threads=[2, 1],
        pictures=["position", "weights"],
        sweep=[{"layers": ["rnn", "gru"], "b": 4, "zz": [7]}, {"layers": "conv1d", "k": "auto"}],
    )

    assert read == Suite(
        name="mine",
        title="T",
        question="Q?",
        metrics=("time", "flops"),
        budget=120,
        devices=("cpu", "cuda:1"),
        dtypes=("float64",),
        modes=("train", "decode"),
        threads=(2, 1),
        pictures=("position", "weights"),
        sweeps=(Sweep(("rnn", "gru"), {"b": (4,), "zz": (7,)}), Sweep(("conv1d",), {"k": "auto"})),
    )
    assert read.layers == ("rnn", "gru", "conv1d")


def test_choices_are_every_combination_once() -> None:
    read = suite(device="cpu", dtype=["float32", "float64"], mode=["train", "train", "decode"], threads=[2, 1, 2])

    assert [choices.slug for choices in read.choices] == [
        f"cpu-{dtype}-{mode}-t{threads}"
        for dtype in ("float32", "float64")
        for mode in ("train", "decode")
        for threads in (2, 1)
    ]


def test_compiling_and_backends_of_attention_are_choices_and_neither_is_the_default() -> None:
    read = suite(device="cpu", compile=[False, True], sdpa=["default", "math"])

    assert suite(device="cpu").choices == (Choices(),)
    assert read.choices == (Choices(), Choices(sdpa="math"), Choices(compile=True), Choices(compile=True, sdpa="math"))
    assert suite(device="cpu", compile=True, sdpa="flash").choices == (Choices(compile=True, sdpa="flash"),)


@pytest.mark.parametrize(
    ("value", "sizes"),
    [
        ("auto", "auto"),
        (64, (64,)),
        ([64, 32, 64], (64, 32)),
        ({"from": 64, "to": 512, "factor": 2}, (64, 128, 256, 512)),
        ({"from": 3, "to": 80, "factor": 3}, (3, 9, 27)),
        ({"from": 5, "to": 5, "factor": 2}, (5,)),
    ],
)
def test_sizes_are_automatic_one_several_or_a_range(value: Any, sizes: Any) -> None:
    assert sizes_of(value) == sizes


@pytest.mark.parametrize("budget", ["500ms", "1.5s", "61s", "400h", "12345678s"])
def test_a_suite_as_json_is_read_back_as_it_was(budget: str) -> None:
    ranged = {"layers": ["gru"], "n": {"from": 8, "to": 32, "factor": 2}, "d": "auto"}
    choices = {"dtype": ["float64", "bfloat16"], "compile": [True, False], "sdpa": "flash"}
    before = suite(title="T", question="Q?", budget=budget, **choices, sweep=[SWEEP, ranged])

    assert from_mapping(json.loads(json.dumps(before.as_json())), "mine", "run.json") == before


# ------------------------------------------------------------------------------------------------------- overrides


def test_a_suite_can_be_restricted_to_some_of_its_layers() -> None:
    both = suite(sweep=[{"layers": ["rnn", "gru"], "n": 8}, {"layers": ["lstm"]}])

    assert both.only(["gru"]).sweeps == (Sweep(("gru",), {"n": (8,)}),)


def test_a_layer_can_be_added_with_automatic_sizes_and_one_that_is_there_stays_as_it_is() -> None:
    one = suite(sweep=[{**SWEEP, "n": 8}])

    assert one.adding("mine", ["n", "d"]).sweeps == (*one.sweeps, Sweep(("mine",), {"n": "auto", "d": "auto"}))
    assert one.adding("rnn", ["n", "d"]) == one


def test_sizes_given_later_replace_those_of_every_sweep() -> None:
    two = suite(sweep=[{**SWEEP, "n": 8, "d": 4}, SWEEP])

    assert [sweep.axes for sweep in two.with_sizes({"n": (16, 32)}).sweeps] == [
        {"n": (16, 32), "d": (4,)},
        {"n": (16, 32)},
    ]


@pytest.mark.parametrize(
    ("text", "axis"),
    [("n=128,256", ("n", (128, 256))), (" k = auto", ("k", "auto")), ("rank=4", ("rank", (4,)))],
)
def test_an_override_is_an_axis_and_its_sizes(text: str, axis: tuple[str, Any]) -> None:
    assert parse_axis(text) == axis


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n", "--set n: write an axis and its sizes, such as n=128,256 or n=auto"),
        ("2n=3", "--set 2n=3: write an axis and its sizes, such as n=128,256 or n=auto"),
        ("nn=3", "--set nn=3: unknown axis 'nn'. Did you mean 'n'?"),
        ("n=", "--set n needs a positive whole number, not ''"),
        ("n=8,x", "--set n needs a positive whole number, not 'x'"),
    ],
)
def test_an_override_that_cannot_be_read_is_one_sentence(text: str, message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        parse_axis(text)

    assert str(caught.value) == message


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"budge": "60s"}, ": unknown key 'budge'. Did you mean 'budget'?"),
        ({"colour": 1}, f": unknown key 'colour'. Known: {KEYS}."),
        ({"sweep": []}, " needs at least one [[sweep]] table with layers"),
        ({"sweep": {"layers": ["rnn"]}}, " needs at least one [[sweep]] table with layers"),
        ({"sweep": ["rnn"]}, " needs at least one [[sweep]] table with layers"),
        ({"title": 3}, ": title must be text, not 3"),
        ({"question": ["why"]}, ": question must be text, not ['why']"),
        (
            {"metrics": ["tim"]},
            (
                ": unknown metrics 'tim'. Did you mean 'time'? Known: flops, flops_needed, elementwise, parameters, "
                "peak_bytes, saved_bytes, depth, log_depth, hops, hops_rf, time, memory."
            ),
        ),
        ({"metrics": []}, ": metrics must be a list of words, not []"),
        ({"device": [0]}, ": device must be a list of words, not [0]"),
        ({"dtype": "int8"}, ": unknown dtype 'int8'. Known: float32, float64, bfloat16, float16."),
        ({"budget": 60}, ': budget must be a duration such as "60s", not 60'),
        ({"budget": "60"}, ": budget: a duration such as 60s, 2m or 1h is needed, not '60'"),
        ({"threads": 0}, ": threads needs a positive whole number, not 0"),
        ({"threads": [1, 0]}, ": threads needs a positive whole number, not 0"),
        ({"pictures": ["cats"]}, ": unknown pictures 'cats'. Known: weights, position."),
        ({"threads": []}, ": threads needs a positive whole number, not []"),
        ({"mode": "trian"}, ": unknown mode 'trian'. Did you mean 'train'? Known: forward, train, decode."),
        ({"mode": []}, ": mode must be a list of words, not []"),
        ({"modes": ["train"]}, ": unknown key 'modes'. Did you mean 'mode'?"),
        (
            {"dtype": "bfloat"},
            ": unknown dtype 'bfloat'. Did you mean 'bfloat16'? Known: float32, float64, bfloat16, float16.",
        ),
        ({"threads": True}, ": threads needs a positive whole number, not True"),
        ({"compile": "yes"}, ": compile must be true, false or [false, true], not 'yes'"),
        ({"compile": [True, 1]}, ": compile must be true, false or [false, true], not [True, 1]"),
        ({"compiled": True}, ": unknown key 'compiled'. Did you mean 'compile'?"),
        (
            {"sdpa": ["maths"]},
            ": unknown sdpa 'maths'. Did you mean 'math'? Known: default, math, flash, efficient, cudnn.",
        ),
    ],
)
def test_what_a_suite_may_not_say_is_one_sentence(content: dict[str, Any], message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        suite(**content)

    assert str(caught.value) == f"suite mine.toml{message}"


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({}, ": layers must be a list of words, not None"),
        ({"layers": []}, ": layers must be a list of words, not []"),
        ({"layer": ["rnn"]}, ": unknown key 'layer'. Did you mean 'layers'?"),
        (
            {**SWEEP, "heads": 4, "zz": 1},
            ": unknown key 'heads'. Known: layers, b, n, d, h, g, k, l, w, r, m, c, s, zz.",
        ),
        ({**SWEEP, "n": [8, 0]}, ": n needs a positive whole number, not 0"),
        ({**SWEEP, "n": [8, 1.5]}, ": n needs a positive whole number, not 1.5"),
        ({**SWEEP, "n": True}, ": n needs a positive whole number, not True"),
        (
            {**SWEEP, "n": []},
            ': n needs "auto", a list of sizes or { from = 64, to = 4096, factor = 2 }, not []',
        ),
        (
            {**SWEEP, "n": "all"},
            ": n needs \"auto\", a list of sizes or { from = 64, to = 4096, factor = 2 }, not 'all'",
        ),
        ({**SWEEP, "n": {"from": 8, "to": 64}}, ": n: a range needs from, to and factor; factor is missing"),
        (
            {**SWEEP, "n": {"from": 8, "to": 64, "step": 2}},
            ": n: unknown key 'step'. Known: from, to, factor.",
        ),
        ({**SWEEP, "n": {"from": 8, "to": 64, "factor": 1.5}}, ": n: factor needs a positive whole number, not 1.5"),
        (
            {**SWEEP, "n": {"from": 8, "to": 64, "factor": 1}},
            ": n: a range runs upwards with a factor of 2 or more, not {'from': 8, 'to': 64, 'factor': 1}",
        ),
        (
            {**SWEEP, "n": {"from": 8, "to": 4, "factor": 2}},
            ": n: a range runs upwards with a factor of 2 or more, not {'from': 8, 'to': 4, 'factor': 2}",
        ),
    ],
)
def test_what_a_sweep_may_not_say_is_one_sentence_with_its_number(sweep: dict[str, Any], message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        suite(sweep=[SWEEP, sweep])

    assert str(caught.value) == f"suite mine.toml, sweep 2{message}"


# ----------------------------------------------------------------------------------------------------------- files


def test_a_suite_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('title = "n²"\n[[sweep]]\nlayers = ["rnn"]\nn = [8]\n', encoding="utf-8")

    read = load_suite(str(path))

    assert (read.name, read.title, read.sweeps) == ("mine", "n²", (Sweep(("rnn",), {"n": (8,)}),))


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_suite_asks_its_question_of_layers_that_exist(name: str) -> None:
    read = load_suite(name)

    assert read.name == name
    assert read.question.endswith("?")
    assert [Registry().get(layer).name for layer in read.layers] == [*read.layers]


def test_an_unknown_suite_brings_the_nearest_and_all_names() -> None:
    with pytest.raises(SuiteError) as caught:
        load_suite("smok")

    assert str(caught.value) == (
        f"unknown suite 'smok'. Did you mean 'smoke'? Shipped: {', '.join(shipped())}; or give a .toml file."
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b'title = "T"\nbudget 60s\n',
            " is not valid TOML: Expected '=' after a key in a key/value pair (at line 2, column 8)",
        ),
        (b"\xff", " cannot be read: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (b'sweeps = "rnn"\n', ": unknown key 'sweeps'. Did you mean 'sweep'?"),
    ],
)
def test_a_file_that_is_no_suite_is_one_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)

    with pytest.raises(SuiteError) as caught:
        load_suite(str(path))

    assert str(caught.value) == f"suite {path}{message}"


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SuiteError) as caught:
        load_suite(f"{tmp_path}/none.toml")

    assert str(caught.value) == f"suite {tmp_path}/none.toml: there is no such file"


def test_a_folder_is_no_suite(tmp_path: Path) -> None:
    folder = tmp_path / "mine.toml"
    folder.mkdir()

    with pytest.raises(SuiteError) as caught:
        load_suite(str(folder))

    assert str(caught.value) == f"suite {folder} cannot be read: Is a directory"

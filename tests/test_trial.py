"""Trials, their ids, and sizes as people type them."""

from __future__ import annotations

import pytest

from attnbench.errors import SuiteError
from attnbench.trial import (
    AXES,
    SDPA_BACKENDS,
    Choices,
    Subject,
    Trial,
    describe,
    differences,
    parse_size,
    parse_sizes,
    slug,
)


def test_a_trials_id_can_be_read() -> None:
    trial = Trial(Subject("rnn"), {"d": 512, "n": 64, "b": 32})

    assert trial.id == "rnn-cpu-float32-forward-t1-b32-n64-d512"


def test_a_trials_id_holds_its_choices() -> None:
    trial = Trial(Subject("conv1d", Choices("cuda:1", "bfloat16", "train", 4)), {"k": 3, "n": 64})

    assert trial.id == "conv1d-cuda1-bfloat16-train-t4-n64-k3"


@pytest.mark.parametrize(
    ("choices", "end"),
    [
        (Choices(compile=True), "t1-compiled"),
        (Choices(sdpa="math"), "t1-sdpa-math"),
        (Choices(threads=2, compile=True, sdpa="flash"), "t2-compiled-sdpa-flash"),
    ],
)
def test_an_id_names_compiling_and_a_backend_of_attention_only_where_they_were_asked_for(
    choices: Choices, end: str
) -> None:
    assert Trial(Subject("rnn", choices), {"n": 64}).id == f"rnn-cpu-float32-forward-{end}-n64"


def test_what_is_counted_knows_no_compiler_and_of_backends_only_the_one_that_is_not_fused() -> None:
    counted = {Subject("x", Choices(compile=c, sdpa=s)).count_key for c in (False, True) for s in SDPA_BACKENDS}

    assert counted == {Subject("x"), Subject("x", Choices(sdpa="math"))}


@pytest.mark.parametrize(
    ("choices", "texts"),
    [
        ([Choices()], [""]),
        ([Choices(), Choices(), Choices(mode="train")], ["forward", "train"]),
        (
            [Choices(threads=2, dtype="float16"), Choices(threads=1), Choices(threads=2)],
            ["float16 · 2 threads", "float32 · 1 thread", "float32 · 2 threads"],
        ),
        (
            [Choices(), Choices(compile=True), Choices(sdpa="math")],
            ["not compiled · sdpa: default", "compiled · sdpa: default", "not compiled · sdpa: math"],
        ),
    ],
)
def test_choices_are_told_apart_by_what_differs(choices: list[Choices], texts: list[str]) -> None:
    assert list(differences(choices).values()) == texts


def test_the_order_in_which_sizes_were_given_does_not_matter() -> None:
    one, other = Trial(Subject("rnn"), {"d": 2, "n": 3}), Trial(Subject("rnn"), {"n": 3, "d": 2})

    assert one == other
    assert hash(one) == hash(other)
    assert list(one.sizes) == ["n", "d"]


def test_sizes_stand_in_the_order_of_the_axes_and_a_plugins_own_come_last_by_name() -> None:
    sizes = dict.fromkeys(["zeta", *reversed(AXES), "alpha"], 2)

    assert slug(sizes) == "b2-n2-d2-h2-g2-k2-l2-w2-r2-m2-c2-s2-alpha2-zeta2"
    assert describe({"n": 64, "b": 32}) == "b=32, n=64"


@pytest.mark.parametrize(
    ("text", "sizes"),
    [("n=128,d=64", {"n": 128, "d": 64}), (" d = 64 , n=128", {"n": 128, "d": 64}), ("rank=07", {"rank": 7})],
)
def test_sizes_are_read_from_text(text: str, sizes: dict[str, int]) -> None:
    assert parse_sizes(text) == sizes
    assert list(parse_sizes(text)) == list(sizes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n", "sizes are written n=128,d=64; 'n' in 'n' is not"),
        ("n=128,", "sizes are written n=128,d=64; '' in 'n=128,' is not"),
        ("n=128, =3", "sizes are written n=128,d=64; '=3' in 'n=128, =3' is not"),
        ("n=1,n=2", "axis 'n' is given twice in 'n=1,n=2'; keep one"),
        ("n=0", "n in 'n=0' needs a positive whole number, not '0'"),
        ("n=-1", "n in 'n=-1' needs a positive whole number, not '-1'"),
        ("n=1e3", "n in 'n=1e3' needs a positive whole number, not '1e3'"),
        ("n=²", "n in 'n=²' needs a positive whole number, not '²'"),
        ("n=1=2", "n in 'n=1=2' needs a positive whole number, not '1=2'"),
    ],
)
def test_sizes_that_cannot_be_read_are_one_sentence(text: str, message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        parse_sizes(text)

    assert str(caught.value) == message


@pytest.mark.parametrize("value", [True, 1.0, None, [1], "1_000", "9" * 5000])
def test_a_size_is_a_positive_whole_number(value: object) -> None:
    with pytest.raises(SuiteError) as caught:
        parse_size(value, where="threads")

    assert str(caught.value) == f"threads needs a positive whole number, not {value!r}"

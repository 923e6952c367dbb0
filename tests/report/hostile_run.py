"""A run in which every name that a stranger can choose is an attempt to run a script."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from attnbench.trial import Choices, Subject
from tests.report.fake_run import HOST, HOSTILE, FakeLayer, attention, conv, write_fake_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from attnbench.store.run_folder import StoredRun


def write_hostile_run(folder: Path) -> StoredRun:
    """A run in which everything that a stranger can name is hostile."""
    host = replace(HOST, cpu=HOSTILE, system=HOSTILE, devices=(HOSTILE,), caches={HOSTILE: 1}, blas=HOSTILE)
    return write_fake_run(
        folder,
        tuple(_hostile_layers()),
        name=HOSTILE,
        host=host,
        suite={"title": HOSTILE, "question": HOSTILE, "device": [HOSTILE], "sweep": [{"layers": [HOSTILE]}]},
        suite_name=HOSTILE,
        command=f"attnbench run --plugin {HOSTILE}",
        started=HOSTILE,
        version=HOSTILE,
        plugins=(HOSTILE,),
        scopes={HOSTILE: HOSTILE},
    )


def _hostile_layers() -> Iterator[FakeLayer]:
    for layer in (attention(), conv()):
        law = layer.law
        assert law is not None
        yield replace(
            layer,
            law=replace(
                law,
                subject=Subject(law.layer, Choices(HOSTILE)),
                claim=HOSTILE,
                reason=HOSTILE,
                formula=HOSTILE,
            ),
            counted_laws=tuple(replace(c, formula=HOSTILE, claim=HOSTILE, reason=HOSTILE) for c in layer.counted_laws),
            uncounted=(HOSTILE,),
        )
    law = attention().law
    assert law is not None
    yield replace(attention(), name=HOSTILE, law=replace(law, subject=Subject(HOSTILE)), counted_laws=())

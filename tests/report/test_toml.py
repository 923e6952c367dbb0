"""A suite as TOML."""

from __future__ import annotations

import tomllib

from attnbench.report.toml import as_toml
from tests.report.fake_run import HOSTILE


def test_a_suite_is_listed_as_toml_that_reads_back() -> None:
    suite = {
        "title": HOSTILE,
        "tab": "\t\n\x7f\x1b",
        "metrics": ["time", 'a"b'],
        "threads": 1,
        "share": 0.5,
        "quick": True,
        "odd key": {"from": 64, "to": 128},
        "sweep": [{"layers": ["rnn"], "n": "auto"}, {"layers": [], "d": [64, 128]}],
        "empty": [],
    }

    assert tomllib.loads(as_toml(suite)) == suite

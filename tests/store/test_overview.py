"""The list of runs: what it says of each, what it reads for that, and that one bad run hides no other."""

from __future__ import annotations

import json
import shutil
import sys
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from attnbench.cli import main
from attnbench.law import Verdict
from attnbench.report.page import file_name, script
from attnbench.session.reading import index_reports
from attnbench.store.overview import overview, overviews
from tests.report.fake_run import HOST, HOSTILE, attention, fake_layers, rnn, write_fake_run
from tests.report.reading import prose, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

    from attnbench.store.run_folder import StoredRun

#: Names of files that were opened while somebody wanted to know; a hook of the interpreter cannot be taken away again.
_OPENED: list[Path] = []
_WATCHING = [False]


def _notice(event: str, arguments: tuple[Any, ...]) -> None:
    if _WATCHING[0] and event == "open" and isinstance(arguments[0], str | Path):
        _OPENED.append(Path(arguments[0]))


@pytest.fixture(scope="module", autouse=True)
def _hook() -> None:
    sys.addaudithook(_notice)


@pytest.fixture
def opened() -> Iterator[list[Path]]:
    """Every file that is opened in the test."""
    _OPENED.clear()
    _WATCHING[0] = True
    yield _OPENED
    _WATCHING[0] = False


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two runs, one that was cut off, and one that is damaged."""
    results = tmp_path / "results"
    write_fake_run(results / "whole", (attention(), rnn()))
    write_fake_run(results / "cut", (attention(),))
    (results / "cut" / "laws.json").unlink()
    write_fake_run(results / "damaged", (attention(),))
    (results / "damaged" / "run.json").write_text("{}", encoding="utf-8")
    return results


@pytest.fixture(autouse=True)
def _pages_without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on a page is tested elsewhere; here it only has to be there."""

    def write(run: StoredRun, folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        page = folder / file_name(run.info.name)
        page.write_text("", encoding="utf-8")
        return page

    monkeypatch.setattr("attnbench.report.page.write_report", write)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def test_an_overview_says_what_the_whole_run_says(tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "run")
    seen = overview(run.path)

    claims = [law for law in run.found_laws if law.metric == "time" and law.claim is not None]
    assert seen.verdicts == {v: sum(law.verdict is v for law in claims) for v in Verdict if v is not Verdict.INFERRED}
    assert (seen.inferred, seen.finished, seen.damage) == (1, True, "")
    assert seen.layers == tuple(layer.name for layer in fake_layers())
    assert seen.trials == (len(run.info.plan.trials), len(run.info.plan.skipped), len(run.info.plan.unsupported))
    assert (seen.name, seen.suite, seen.title, seen.host) == ("run", "scaling", "Three scaling laws", HOST.cpu)


def test_a_run_that_was_cut_off_and_a_damaged_one_say_so(results: Path) -> None:
    seen = {one.name: one for one in overviews(results)}

    assert (seen["cut"].finished, seen["cut"].verdicts) == (False, {})
    assert seen["damaged"].damage == f"{results / 'damaged' / 'run.json'} is damaged: KeyError 'schema'"
    assert seen["whole"].verdicts == {Verdict.CONFIRMED: 1, Verdict.REFUTED: 1}


def test_laws_that_were_changed_are_not_believed(results: Path) -> None:
    laws = results / "whole" / "laws.json"
    laws.write_text(laws.read_text(encoding="utf-8").replace("REFUTED", "CONFIRMED"), encoding="utf-8")

    assert not overview(results / "whole").finished


def test_two_hundred_runs_are_listed_without_opening_one_journal(
    tmp_path: Path, opened: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    results, reports = tmp_path / "results", tmp_path / "reports"
    first = write_fake_run(results / "run-0", (attention(),)).path
    for number in range(1, 200):
        shutil.copytree(first, results / f"run-{number}")
    reports.mkdir()
    (reports / "run-0.html").write_text("", encoding="utf-8")
    opened.clear()

    index = index_reports([results], reports)
    invoke("list", "runs", "--results", results)

    read_of_runs = [path.name for path in opened if results in path.parents]
    assert set(read_of_runs) == {"run.json", "laws.json", "SHA256SUMS"}
    assert len(read_of_runs) <= 2 * 200 * 5  # both files once for their hash and once for what they say
    assert index.read_text(encoding="utf-8").count("run-0.html") == 200


def test_the_index_shows_a_damaged_run_without_a_link(results: Path, tmp_path: Path) -> None:
    done = invoke("report", "--all", "--results", results, "--reports", tmp_path / "reports")
    text = (tmp_path / "reports" / "index.html").read_text(encoding="utf-8")

    links = {element.attributes["href"] for element in read(text) if element.tag == "a"} - {"#main"}
    assert done.exit_code == 2
    assert links == {"whole.html", "cut.html"}
    assert "run.json is damaged: KeyError 'schema'" in unescape(prose(text))
    assert "Its laws are not fitted" in prose(text)


def test_reporting_all_runs_costs_a_bad_one_its_own_line(results: Path, tmp_path: Path) -> None:
    done = invoke("report", "--all", "--results", results, "--reports", tmp_path / "reports")

    assert done.stderr == f"Error: {results / 'damaged' / 'run.json'} is damaged: KeyError 'schema'\n"
    assert sorted(Path(line).name for line in done.stdout.splitlines()) == ["cut.html", "index.html", "whole.html"]


def test_several_reports_as_json_are_one_document(results: Path, tmp_path: Path) -> None:
    done = invoke("report", "whole", "nowhere", "--json", "--results", results, "--reports", tmp_path / "reports")
    told = json.loads(done.stdout)

    assert done.exit_code == 2
    assert told["reports"][0] == {
        "run": str(results / "whole"),
        "report": str(tmp_path / "reports" / "whole.html"),
    }
    assert told["reports"][1]["error"].startswith("nowhere is not a run.")
    assert told["index"] == str(tmp_path / "reports" / "index.html")


def test_of_several_reports_the_list_is_opened(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[str] = []
    monkeypatch.setattr("click.launch", launched.append)
    place = ["--results", results, "--reports", tmp_path / "reports", "--open"]

    invoke("report", "whole", *place)
    invoke("report", "whole", "cut", *place)

    assert [Path(path).name for path in launched] == ["whole.html", "index.html"]


@pytest.mark.parametrize("arguments", [[], ["whole", "--all"]])
def test_a_report_is_of_named_runs_or_of_all(arguments: list[str], results: Path) -> None:
    done = invoke("report", *arguments, "--results", results)

    assert (done.exit_code, done.stderr) == (
        2,
        "Error: name the runs to report, or give --all; `attnbench list runs` shows what there is\n",
    )


@pytest.mark.parametrize(("fail_on", "code"), [("refuted", 1), ("inconclusive", 1), (None, 0)])
def test_a_stored_run_is_judged_by_an_exit_code(fail_on: str | None, code: int, results: Path) -> None:
    given = ["--fail-on", fail_on] if fail_on else []
    done = invoke("laws", "whole", "--results", results, "--claim", "rnn=n**3*d", *given)

    assert done.exit_code == code
    assert done.stderr.startswith(f"--fail-on {fail_on}: rnn time REFUTED" if code else "")
    assert bool(done.stderr) == bool(code)


def test_hostile_words_are_text_in_the_index(tmp_path: Path) -> None:
    suite = {"title": HOSTILE, "question": f"{HOSTILE}?"}
    run = write_fake_run(tmp_path / "results" / "run", suite=suite, suite_name=HOSTILE)
    (tmp_path / "run.html").write_text("", encoding="utf-8")
    text = index_reports([run.path.parent], tmp_path).read_text(encoding="utf-8")

    assert [element.text for element in read(text) if element.tag == "a"][-1] == HOSTILE
    assert [element.pieces for element in read(text) if element.tag == "script"] == [[str(script())]]

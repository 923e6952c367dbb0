"""What a person gets who installs attnbench without this repository."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names of the files in a wheel built from this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    [built] = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with ZipFile(built) as archive:
        return archive.namelist()


def test_every_suite_travels(wheel: list[str]) -> None:
    shipped = [f"attnbench/suites/{path.name}" for path in sorted((ROOT / "suites").glob("*.toml"))]

    assert "attnbench/suites/scaling.toml" in shipped
    assert sorted(name for name in wheel if "/suites/" in name) == shipped


def test_every_file_of_the_package_travels(wheel: list[str]) -> None:
    files = (path for path in (ROOT / "attnbench").rglob("*") if path.is_file() and path.suffix != ".pyc")

    assert {path.relative_to(ROOT).as_posix() for path in files} - set(wheel) == set()


def test_the_types_the_page_and_the_licence_travel(wheel: list[str]) -> None:
    page = {Path(name).suffix for name in wheel if name.startswith("attnbench/report/")}

    assert "attnbench/py.typed" in wheel
    assert {".css", ".html"} - page == set()
    assert [name for name in wheel if name.endswith("/licenses/LICENSE")] != []


def test_nothing_else_travels(wheel: list[str]) -> None:
    assert {name.partition("/")[0].partition("-")[0] for name in wheel} == {"attnbench"}

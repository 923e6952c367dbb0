"""The reports of recorded runs, of a fake and of a hostile one, and a browser, made once for all tests."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from attnbench.report.page import write_index, write_report
from attnbench.store.overview import overview
from attnbench.store.run_folder import load_stored
from tests.behaviour.report.browsing import BROWSERS, DRIVERS, ROOT, logged, program
from tests.conftest import held
from tests.recorded.record import unpack
from tests.report.conftest import context, page, run
from tests.report.fake_run import HOSTILE, write_fake_run
from tests.report.hostile_run import write_hostile_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selenium.webdriver.chrome.webdriver import WebDriver


RECORDED = ("smoke", "table1", "seeds")

#: Fixtures of the tests of rooms, for the tests of whole pages.
__all__ = ["context", "page", "run"]


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, Path]:
    """Report of each recorded run, of the fake one and of a hostile one, and their index, drawn once a session."""
    base = tmp_path_factory.getbasetemp()
    place = (base if worker_id == "master" else base.parent) / "reports"
    drawn = place / "drawn.json"
    place.mkdir(exist_ok=True)
    with held(Path(f"{place}.lock"), fcntl.LOCK_EX):
        if not drawn.exists():
            drawn.write_text(json.dumps(_draw(place)), encoding="utf-8")
    return {name: Path(path) for name, path in json.loads(drawn.read_text(encoding="utf-8")).items()}


def _draw(place: Path) -> dict[str, str]:
    runs = {name: load_stored(unpack(name, place / "runs")) for name in RECORDED}
    runs["scaling"] = load_stored(ROOT / "results" / "example")
    runs["fake"] = write_fake_run(place / "runs" / "fake")
    runs["hostile"] = write_hostile_run(place / "runs" / HOSTILE.replace("/", "|"))  # no folder's name has a slash
    written = {name: write_report(one, place) for name, one in runs.items()}
    written["index"] = write_index(place, [overview(one.path) for one in runs.values()])
    return {name: str(path) for name, path in written.items()}


@pytest.fixture(scope="session")
def browser() -> Iterator[WebDriver]:
    """Headless Chromium that can resolve no name; nothing is downloaded to start it."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program(BROWSERS)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=program(DRIVERS)))
    yield driver
    driver.quit()


@pytest.fixture
def show(browser: WebDriver) -> Callable[..., WebDriver]:
    """Opens a page at a width, in a scheme and for a medium, everything that folds unfolded."""

    def opened(path: Path, width: int = 1440, scheme: str = "light", media: str = "screen") -> WebDriver:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
        for kind in ("performance", "browser"):
            logged(browser, kind)  # what earlier pages did is no longer of interest
        browser.get(path.as_uri())
        browser.execute_script("document.querySelectorAll('details').forEach(e => { e.open = true; })")
        return browser

    return opened

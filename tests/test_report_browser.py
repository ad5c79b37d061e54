"""A report in a real browser: Chromium without a window and without a network."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By

from keras_versioned_ckpt._report import write_report
from keras_versioned_ckpt._report_facts import gathered
from keras_versioned_ckpt._report_page import page
from keras_versioned_ckpt.records import HistoryEntry, Version

from .browser import (
    CHROMEDRIVER,
    CHROMIUM,
    click,
    column,
    contrasts,
    distinct_rows,
    screenshot,
    shown,
    started,
)
from .factories import START
from .report_store import DIVERGED, NOW, report_store

pytestmark = pytest.mark.skipif(
    CHROMIUM is None or CHROMEDRIVER is None,
    reason="NOT TESTED: reports in a browser, chromium or chromedriver is missing",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser that cannot reach any host."""
    driver = started()
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on three trainings, with a version whose losses are not finite."""
    folder = tmp_path_factory.mktemp("report")
    store = report_store(folder / "digits")
    output = folder / "report.html"
    write_report(store, output, verified=store.verify(), now=NOW)
    return output


def test_the_console_stays_empty_and_nothing_is_requested(
    browser: Any, report: Path
) -> None:
    """No error, no warning, no violation of the policy, no request but for the file."""
    shown(browser, report)
    assert browser.title == "digits: checkpoint report"
    assert browser.get_log("browser") == []
    assert browser.execute_script("return window.violations") == []
    requests = "return performance.getEntriesByType('resource').map((e) => e.name)"
    assert browser.execute_script(requests) == []


def test_the_policy_is_in_force(browser: Any, report: Path) -> None:
    """A script, a style and a request of somebody else are refused, and told of."""
    shown(browser, report)
    browser.execute_async_script(
        """
        const done = arguments[0];
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.body.append(script);
        document.body.setAttribute("style", "display: none");
        const image = document.createElement("img");
        image.src = "http://localhost:9/";
        document.body.append(image);
        setTimeout(done, 300);
        """
    )
    assert browser.execute_script("return window.ran") is None
    display = "return getComputedStyle(document.body).display"
    assert browser.execute_script(display) == "block"
    refused = browser.execute_script("return window.violations")
    assert {words.partition(":")[0] for words in refused} == {
        *("script-src-elem", "style-src-attr", "img-src")
    }


def test_a_click_sorts_numbers(browser: Any, report: Path) -> None:
    """As numbers, both ways; what is missing or not finite stays last."""
    shown(browser, report)
    assert column(browser, "number")[:3] == ["64", "63", "62"]
    assert click(browser, "number") == "ascending"
    assert column(browser, "number") == [str(n) for n in range(1, 65)]
    for order in ("ascending", "descending"):
        assert click(browser, "val_loss") == order
        texts = column(browser, "val_loss")
        assert set(texts[-2:]) == {"nan", "-"}
        values = [float(text) for text in texts[:-2]]
        assert values == sorted(values, reverse=order == "descending")
        assert len(values) == 62
    assert browser.get_log("browser") == []


def test_a_click_sorts_sizes_by_their_bytes(browser: Any, report: Path) -> None:
    """And not by the digits of what is shown."""
    shown(browser, report)
    assert click(browser, "size") == "ascending"
    assert column(browser, "size")[0] == "1.31 MB"
    assert column(browser, "number")[0] == "25"


def test_a_click_sorts_texts(browser: Any, report: Path) -> None:
    """With the numbers in them as numbers: version_9 comes before version_10."""
    shown(browser, report)
    assert click(browser, "name") == "ascending"
    assert column(browser, "name") == [f"version_{n}" for n in range(1, 65)]
    assert click(browser, "name") == "descending"
    assert column(browser, "name") == [f"version_{n}" for n in range(64, 0, -1)]
    assert click(browser, "tags") == "ascending"
    assert column(browser, "tags")[:3] == ["baseline", "prod", "-"]
    assert click(browser, "tags") == "descending"
    assert column(browser, "tags")[:3] == ["prod", "baseline", "-"]


def test_rows_are_filtered(browser: Any, report: Path) -> None:
    """By words in any column, and by whether the version is there; it is counted."""
    shown(browser, report)
    count = browser.find_element(By.ID, "count")
    assert count.text == "64 of 64 versions"
    browser.find_element(By.ID, "filter").send_keys("deleted USER")
    assert column(browser, "number") == ["35"]
    assert count.text == "1 of 64 versions"
    browser.find_element(By.ID, "only-there").click()
    assert column(browser, "number") == []
    browser.execute_script(
        """
        const filter = document.querySelector("#filter");
        filter.value = "";
        filter.dispatchEvent(new Event("input"));
        """
    )
    assert column(browser, "number") == ["64", "63", "62", "56", "45", "41", "20", "10"]
    assert count.text == "8 of 64 versions"


def test_without_scripts_the_table_is_complete(browser: Any, report: Path) -> None:
    """All rows and drawings are there, and no control that would do nothing."""
    shown(browser, report, script=False)
    assert column(browser, "number") == [str(n) for n in range(64, 0, -1)]
    assert column(browser, "val_loss")[64 - DIVERGED] == "nan"
    assert browser.find_elements(By.TAG_NAME, "button") == []
    assert not browser.find_element(By.ID, "controls").is_displayed()
    assert browser.find_element(By.ID, "curve-wide").is_displayed()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1200, 360])
def test_all_text_can_be_read(
    browser: Any, report: Path, width: int, dark: bool
) -> None:
    """Every text has a contrast of 4.5 to 1 or more (WCAG 2.2, 1.4.3)."""
    shown(browser, report, width=width, dark=dark)
    found = contrasts(browser)
    assert len(found) > 500
    assert [words for ratio, words in found if ratio < 4.5] == []


def test_dark_is_dark(browser: Any, report: Path) -> None:
    """The background follows what the system prefers."""
    colours = []
    for dark in (False, True):
        shown(browser, report, dark=dark)
        script = "return getComputedStyle(document.body).backgroundColor"
        colours.append([*map(int, re.findall(r"\d+", browser.execute_script(script)))])
    light, dark_one = colours
    assert min(light) > 240
    assert max(dark_one) < 40


@pytest.mark.parametrize("width", [320, 360, 400, 768, 1200])
def test_no_page_scrolls_sideways(browser: Any, report: Path, width: int) -> None:
    """On a phone neither: the table does so by itself, and drawings are made for it."""
    shown(browser, report, width=width)
    room, page_width, table, table_width = browser.execute_script(
        """
        const parts = [document.documentElement, document.querySelector(".scroll")];
        return parts.flatMap((part) => [part.clientWidth, part.scrollWidth]);
        """
    )
    assert page_width == room <= width
    assert table_width > table
    narrow = browser.find_element(By.ID, "curve-narrow").is_displayed()
    assert narrow == (width < 640)
    assert browser.find_element(By.ID, "curve-wide").is_displayed() != narrow


def test_on_paper_everything_is_there(browser: Any, report: Path) -> None:
    """The whole table, no wider than the page, and light where the screen is dark."""
    shown(browser, report, width=760)
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    media = {"media": "print", "features": dark}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    room, width, hidden, colour = browser.execute_script(
        """
        const page = document.documentElement;
        const table = document.querySelector(".scroll");
        return [
          page.clientWidth, page.scrollWidth, table.scrollHeight - table.clientHeight,
          getComputedStyle(document.body).backgroundColor,
        ];
        """
    )
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert width == room
    assert hidden == 0
    assert colour == "rgb(253, 252, 250)"


def test_text_in_drawings_is_large_enough_on_a_phone(
    browser: Any, report: Path
) -> None:
    """No drawing shrinks its words below 8.5 pixels."""
    shown(browser, report, width=360)
    heights = browser.execute_script(
        """
        return [...document.querySelectorAll("figure svg[role] text")]
          .filter((text) => text.getClientRects().length > 0)
          .map((text) => 12 * text.getScreenCTM().a);
        """
    )
    assert len(heights) > 50
    assert min(heights) > 8.5


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (360, False), (1200, True)])
def test_a_picture_of_it_shows_something(
    browser: Any, report: Path, tmp_path: Path, width: int, dark: bool
) -> None:
    """It is not blank: in each part of the page there is more than the background."""
    shown(browser, report, width=width, dark=dark)
    blank_page = report.with_name("blank.html")
    blank_page.write_text("<!doctype html><title>x</title>")
    picture = screenshot(browser, tmp_path / "report.png")
    shown(browser, blank_page, width=width, dark=dark)
    blank = screenshot(browser, tmp_path / "blank.png")
    assert len(picture) > 20 * len(blank)
    assert distinct_rows(picture) > 20 * distinct_rows(blank)


def test_what_is_hostile_does_nothing(browser: Any, tmp_path: Path) -> None:
    """A store that wants to run a script is shown, and that is all."""
    evil = (
        "</script><img src=x onerror='window.ran = true'><script>window.ran=1</script>"
    )
    version = Version(
        number=1,
        created=START,
        name=evil,
        metrics={evil: 1.0, "javascript:window.ran=1": 2.0},
        monitor=evil,
        mode="min",
        tags=(evil,),
        run_id=evil,
    )
    history = [
        HistoryEntry(version=version),
        HistoryEntry(
            version=Version(number=2, created=START), reason=evil, policy=evil
        ),
    ]
    facts = gathered(f"/{evil}", history, now=NOW, checked=1, problems=[evil])
    report = tmp_path / "report.html"
    report.write_text(page(facts), encoding="utf-8")
    shown(browser, report)
    assert browser.execute_script("return window.ran") is None
    assert browser.find_elements(By.TAG_NAME, "img") == []
    assert column(browser, "name")[1].startswith("</script><img src=x onerror=")
    assert click(browser, "name") == "ascending"
    assert browser.execute_script("return window.violations") == []
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("count", [0, 1])
def test_a_store_with_little_in_it(browser: Any, tmp_path: Path, count: int) -> None:
    """Neither none nor one version is an error of the script or a drawing."""
    history = [
        HistoryEntry(version=Version(number=n, created=START))
        for n in range(1, count + 1)
    ]
    report = tmp_path / "report.html"
    report.write_text(page(gathered("/a", history, now=NOW)), encoding="utf-8")
    shown(browser, report)
    assert browser.get_log("browser") == []
    assert len(browser.find_elements(By.CSS_SELECTOR, "tbody tr")) == count

"""Takes the pictures of the README: of the report in a browser, and of `list`.

`python docs/screenshots.py`, from the root of the repository, with Chromium.
"""

import contextlib
import os
import pty
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from keras_versioned_ckpt._report import write_report
from tests.report_store import NOW, report_store

IMAGES = Path(__file__).parent / "images"
_COLUMNS = 132


def main() -> None:
    """Writes `docs/images/report.png` and `docs/images/list.png`."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        store = report_store(Path(name, "runs", "digits"))
        page = Path(name, "report.html")
        write_report(store, page, verified=store.verify(), now=NOW)
        # Where it was made for the picture is of no interest to anybody.
        text = page.read_text(encoding="utf-8").replace(name, "/data")
        page.write_text(text, encoding="utf-8")
        photograph(page, 1100, 1180, IMAGES / "report.png")
        words = ["list", "runs/digits", "--sort", "val_loss", "--limit", "8"]
        page = Path(name, "list.html")
        page.write_text(drawn(words, Path(name)), encoding="utf-8")
        photograph(page, 1180, 330, IMAGES / "list.png")


def drawn(words: list[str], cwd: Path) -> str:
    """Returns what a terminal shows of a command, as a page."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "keras_versioned_ckpt", *words],
        stdout=theirs,
        cwd=cwd,
        env={**os.environ, "COLUMNS": str(_COLUMNS), "TERM": "xterm-256color"},
    )
    os.close(theirs)
    data = b""
    # Linux tells of the end as an error.
    with contextlib.suppress(OSError):
        while part := os.read(ours, 65536):
            data += part
    os.close(ours)
    if process.wait():
        raise SystemExit(f"keras-ckpt {' '.join(words)} failed")
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=_COLUMNS, file=nowhere)
        console.print(Text(f"$ keras-ckpt {' '.join(words)}", style="bold"))
        console.print(Text.from_ansi(data.decode().replace("\r\n", "\n")))
        picture = console.export_svg(title="keras-ckpt")
    return f"<!doctype html><body style='margin:0'>{picture}</body>"


def photograph(page: Path, width: int, height: int, target: Path) -> None:
    """Saves what a browser shows of a page."""
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(argument)
    options.binary_location = str(shutil.which("chromium"))
    browser = webdriver.Chrome(options, Service(str(shutil.which("chromedriver"))))
    try:
        size = {
            "width": width,
            "height": height,
            "deviceScaleFactor": 1,
            "mobile": False,
        }
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(page.as_uri())
        browser.save_screenshot(str(target))
    finally:
        browser.quit()


if __name__ == "__main__":
    main()

"""Drives Chromium, without a window and without a network, through Selenium."""

import base64
import shutil
import zlib
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")

# Whatever the page does, this would tell: it is there before the page's own script.
_WITNESS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI}`);
});
"""
_CONTRAST = """
const luminance = (colour) => {
  const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
  const linear = (c) => (c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
  const [r, g, b] = parts.map(linear);
  return .2126 * r + .7152 * g + .0722 * b;
};
const background = (element) => {
  for (let at = element; at !== null; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (!/^rgba\\(.*, 0\\)$/.test(colour)) return colour;
  }
  return "rgb(255, 255, 255)";
};
const found = [];
for (const element of document.querySelectorAll("body *:not(script)")) {
  const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  if (!own || element.getClientRects().length === 0) continue;
  if (element.closest("title, desc") !== null) continue;
  const style = getComputedStyle(element);
  const colour = element.closest("svg") === null ? style.color : style.fill;
  const pair = [luminance(colour), luminance(background(element))];
  const ratio = (Math.max(...pair) + .05) / (Math.min(...pair) + .05);
  found.push([ratio, `${element.tagName}: ${element.textContent}`]);
}
return found;
"""


def started() -> Any:
    """Starts a browser that cannot reach any host, and notes what its console says."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(str(CHROMEDRIVER)))
    driver.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": _WITNESS}
    )
    driver.execute_cdp_cmd("Network.enable", {})
    none = {"latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    conditions = {"offline": True, **none}
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)
    return driver


def shown(
    browser: Any,
    report: Path,
    *,
    width: int = 1200,
    dark: bool = False,
    script: bool = True,
) -> None:
    """Opens a report on a screen of this width."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 400},
    )
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.execute_cdp_cmd(
        "Emulation.setScriptExecutionDisabled", {"value": not script}
    )
    browser.get_log("browser")  # what an earlier test left there
    browser.get(report.as_uri())
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def column(browser: Any, name: str) -> list[str]:
    """Returns the texts of one column in the rows that are shown, in order."""
    return [
        str(text)
        for text in browser.execute_script(
            """
            const table = document.querySelector("#versions table");
            const heads = [...table.tHead.rows[0].cells];
            const at = heads.findIndex((head) => head.textContent === arguments[0]);
            return [...table.tBodies[0].rows]
              .filter((row) => row.offsetParent !== null)
              .map((row) => row.cells[at].textContent);
            """,
            name,
        )
    ]


def click(browser: Any, name: str) -> str:
    """Clicks on the head of a column and returns how it is said to be sorted."""
    button = browser.find_element(By.XPATH, f"//thead//button[text()='{name}']")
    browser.execute_script("arguments[0].scrollIntoView({inline: 'center'})", button)
    button.click()
    (head,) = browser.find_elements(By.XPATH, f"//thead//th[button[text()='{name}']]")
    return str(head.get_attribute("aria-sort"))


def screenshot(browser: Any, path: Path) -> bytes:
    """Takes a picture of the whole page, as a file of its own and as bytes."""
    answer = browser.execute_cdp_cmd(
        "Page.captureScreenshot", {"captureBeyondViewport": True}
    )
    path.write_bytes(base64.b64decode(answer["data"]))
    return path.read_bytes()


def contrasts(browser: Any) -> list[tuple[float, str]]:
    """Returns the contrast of each text that is shown to what is behind it (WCAG 2.2).

    That of a drawing is the page; what lies behind a text in it is not looked at.
    """
    return [(ratio, words) for ratio, words in browser.execute_script(_CONTRAST)]


def distinct_rows(png: bytes) -> int:
    """Returns how many different rows of pixels a picture has."""
    width = int.from_bytes(png[16:20]) * (4 if png[25] == 6 else 3) + 1
    data, at = b"", 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += length + 12
    pixels = zlib.decompress(data)
    return len({pixels[i : i + width] for i in range(0, len(pixels), width)})

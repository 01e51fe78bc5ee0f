"""A real browser for tests of pages: Debian's Chromium, on a phone and on a desk."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser. Without one the test is skipped and says so, unless TOOTSOO_BROWSER=required, as in CI."""
    if CHROMIUM is None:
        why = "there is no Chromium: on Debian, apt-get install chromium"
        if os.environ.get("TOOTSOO_BROWSER") == "required":
            pytest.fail(f"{why} (TOOTSOO_BROWSER=required)")
        pytest.skip(why)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def keep(page: Page, name: str) -> None:
    """Keep a picture for people, in the folder that TOOTSOO_SCREENSHOTS names."""
    if folder := os.environ.get("TOOTSOO_SCREENSHOTS"):
        width = (page.viewport_size or PHONE)["width"]
        page.screenshot(path=Path(folder) / f"{name}-{width}.png", full_page=True)


def fits(page: Page) -> bool:
    """Tell whether nothing has to be scrolled sideways, and nothing sticks out of what it stands in."""
    return bool(page.evaluate(FITS))


FITS = """() => document.documentElement.scrollWidth <= window.innerWidth
  && [...document.querySelectorAll("main *")].every((one) =>
    getComputedStyle(one).display === "inline" || one.scrollWidth <= one.clientWidth + 1)"""

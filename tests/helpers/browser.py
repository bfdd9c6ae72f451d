"""A real Chromium, headless, that remembers what the console said and what was asked for."""

import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

LOCAL = ("file:", "data:", "blob:", "about:", "chrome:", "chrome-extension:")


@contextmanager
def chromium(webgl: bool = False) -> Iterator["Browser"]:
    """A browser, with ``webgl`` one that draws it in software; without any the test is skipped."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("needs Debian's chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    drawing = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
    graphics = drawing if webgl else ("--disable-gpu",)
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1500,1000", *graphics):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    process = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        yield Browser(process)
    finally:
        process.quit()


class Browser:
    """What the tests ask of a browser."""

    def __init__(self, driver) -> None:
        self.driver = driver
        self.requests: list[str] = []
        self.console: list[str] = []

    def open(self, path: Path) -> None:
        """Open a file on this machine."""
        self.driver.get(path.resolve().as_uri())

    def find(self, xpath: str):
        """The element, as soon as it is shown."""
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.expected_conditions import visibility_of_element_located
        from selenium.webdriver.support.ui import WebDriverWait

        wait = WebDriverWait(self.driver, 60)
        return wait.until(visibility_of_element_located((By.XPATH, xpath)))

    def click(self, xpath: str) -> None:
        """Click the element, as soon as it is shown."""
        self.find(xpath).click()

    def texts(self, xpath: str) -> list[str]:
        """The text of every such element, in the order of the page."""
        from selenium.webdriver.common.by import By

        return [each.text for each in self.driver.find_elements(By.XPATH, xpath)]

    def script(self, text: str, *arguments):
        """Run JavaScript in the page."""
        return self.driver.execute_script(text, *arguments)

    def pictures(self, css: str) -> list[np.ndarray]:
        """What every such element looks like now: grey levels 0..255."""
        from selenium.webdriver.common.by import By

        found = self.driver.find_elements(By.CSS_SELECTOR, css)
        images = (Image.open(io.BytesIO(each.screenshot_as_png)).convert("L") for each in found)
        return [np.asarray(image, dtype=float) for image in images]

    def scroll(self, css: str, number: int, lines: int) -> None:
        """Turn the wheel over the middle of such an element."""
        from selenium.webdriver import ActionChains
        from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
        from selenium.webdriver.common.by import By

        element = self.driver.find_elements(By.CSS_SELECTOR, css)[number]
        origin = ScrollOrigin.from_element(element, -60, 60)
        for _ in range(lines):
            ActionChains(self.driver).scroll_from_origin(origin, 0, 100).perform()

    def overheard(self) -> tuple[list[str], list[str]]:
        """Errors of the console and addresses that are not on this machine, since the start."""
        for entry in self.driver.get_log("browser"):
            if entry["level"] == "SEVERE":
                self.console.append(entry["message"])
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
        return self.console, [url for url in self.requests if not url.startswith(LOCAL)]

"""A visit to the page of a server in headless Chromium: what a person does there, and sees."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from tests.report.browser import Browser

_SECONDS = 20.0
_READY = "document.querySelector('#choose')?.matches(':enabled')"
_BUSY = "!document.querySelector('#progress').hidden"
_PENDING = """[...document.querySelectorAll('.said')].some(
  (said) => ['Waiting', 'In progress …'].includes(said.textContent))"""

# A camera that films a red picture. Its streams are kept, to see whether they are stopped.
CAMERA = """
  window.streams = [];
  navigator.mediaDevices.getUserMedia = async () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [64, 64];
    const context = canvas.getContext("2d");
    context.fillStyle = "rgb(200 50 40)";
    setInterval(() => context.fillRect(0, 0, 64, 64), 20);
    window.streams.push(canvas.captureStream(30));
    return window.streams.at(-1);
  };
  0"""


@dataclass
class Visit:
    """A page that is open in a browser.

    Attributes:
        browser: The browser.
        url: The address of the server.
    """

    browser: Browser
    url: str

    def open(self, *, width: int = 1280, scheme: str = "light", ready: str = _READY) -> None:
        """Open the page, and wait until a condition holds: else that images can be chosen."""
        self.browser.events.clear()
        self.browser.resize(width)
        self.browser.prefer(scheme)
        # The same address again would only be a reload, which keeps what is typed in.
        self.browser.call("Page.navigate", url="about:blank")
        self.browser.call("Page.navigate", url=self.url)
        self.wait(f"location.href.startsWith({self.url!r})")
        self.wait(ready)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        return self.browser.evaluate(expression)

    def wait(self, condition: str, seconds: float = _SECONDS) -> None:
        """Wait until a condition holds."""
        end = time.monotonic() + seconds
        while not self.evaluate(f"Boolean({condition})"):
            assert time.monotonic() < end, (condition, self.browser.complaints())
            time.sleep(0.01)

    def settle(self) -> None:
        """Wait until all images are answered."""
        self.wait(f"!({_BUSY}) && !({_PENDING})")

    def add(self, *paths: Path, field: str = "#files") -> None:
        """Choose files, as in the dialog of the browser."""
        found = self.browser.call(
            "Runtime.evaluate", expression=f"document.querySelector('{field}')"
        )
        self.browser.call(
            "DOM.setFileInputFiles",
            files=[str(path) for path in paths],
            objectId=found["result"]["objectId"],
        )

    def classify(self, *paths: Path) -> None:
        """Choose files, and wait for their answers."""
        self.add(*paths)
        self.settle()

    def drop(self, *paths: Path) -> None:
        """Drop files and folders somewhere on the page."""
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.browser.call("Input.dispatchDragEvent", type=kind, x=600, y=20, data=data)

    def select(self, selector: str, value: str) -> None:
        """Choose a value of a list."""
        self.evaluate(
            f"""(() => {{
              const list = document.querySelector({json.dumps(selector)});
              list.value = {json.dumps(value)};
              list.dispatchEvent(new Event("change"));
            }})()"""
        )

    def click(self, selector: str) -> None:
        """Click an element with the mouse."""
        self.browser.point(selector, click=True)

    def press(self, *keys: str) -> None:
        """Press keys."""
        for key in keys:
            self.browser.press(key)

    def text(self, selector: str) -> str:
        """Return the text of an element as it is shown, on one line; "" if it is hidden."""
        return str(
            self.evaluate(
                f"""(() => {{
                  const found = document.querySelector({json.dumps(selector)});
                  return found.checkVisibility() ? found.innerText.trim() : "";
                }})()"""
            )
        ).replace("\xa0", " ")

    def texts(self, selector: str) -> list[str]:
        """Return the texts of the elements that are shown, each on one line."""
        found: Sequence[str] = self.evaluate(
            f"""[...document.querySelectorAll({json.dumps(selector)})]
              .filter((one) => one.checkVisibility())
              .map((one) => one.innerText.replace(/\\s+/g, " ").trim())"""
        )
        return list(found)

    def shown(self, selector: str) -> bool:
        """Return whether an element is shown."""
        return bool(
            self.evaluate(f"document.querySelector({json.dumps(selector)}).checkVisibility()")
        )

    def focused(self) -> str:
        """Return the id of the element with the focus, or its text if it has none."""
        return str(
            self.evaluate("document.activeElement.id || document.activeElement.innerText.trim()")
        )

    def save(self, folder: Path) -> str:
        """Save the CSV file into a folder, and return its text."""
        folder.mkdir(exist_ok=True)
        self.browser.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        self.click("#save")
        end = time.monotonic() + _SECONDS
        while not (found := list(folder.glob("*.csv"))):
            assert time.monotonic() < end
            time.sleep(0.01)
        return found[0].read_bytes().decode("utf-8")

    def violations(self) -> list[str]:
        """Return what axe-core finds, however slight."""
        if not self.evaluate("'axe' in window"):
            source = files("axe_core_python").joinpath("axe.min.js").read_text("utf-8")
            self.evaluate(f"{source}; 0")
        result = self.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{found['id']}: {node['target']} {node.get('failureSummary', '')}"
            for found in result["violations"]
            for node in found["nodes"]
        ]

    def complaints(self) -> list[str]:
        """Return what the console says, but for images that the server refused."""
        return [text for text in self.browser.complaints() if "status of 422" not in text]

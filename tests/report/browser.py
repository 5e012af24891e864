"""A headless Chromium, driven through the pipe of its DevTools protocol.

The protocol is JSON messages that end in a zero byte, so this needs neither a driver nor a package,
and no port is opened. Nothing is loaded but `file:` addresses.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

EXECUTABLE = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
"""The browser of this machine, or None."""

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
)
_SECONDS = 30.0
_SERIOUS = {"serious", "critical"}

KEYS = {
    "Enter": 13,
    "Escape": 27,
    " ": 32,
    "Tab": 9,
    "PageUp": 33,
    "PageDown": 34,
    "End": 35,
    "Home": 36,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
}
"""The codes of keys, by name."""


class Browser:
    """A browser with one page, whose messages are kept in order."""

    def __init__(self, reader: int, writer: int) -> None:
        self._reader, self._writer = reader, writer
        self._buffer = b""
        self._number = 0
        self._session = ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writer, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])
            self.events.append(answer)

    def open(
        self, page: Path, *, width: int = 1280, height: int = 900, scheme: str = "light"
    ) -> float:
        """Open a page, and return the seconds until it has loaded."""
        self.events.clear()
        self.resize(width, height)
        self.prefer(scheme)
        begin = time.perf_counter()
        self.call("Page.navigate", url=page.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())
        return time.perf_counter() - begin

    def resize(self, width: int, height: int = 900) -> None:
        """Set the size of the window in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )

    def prefer(self, scheme: str, *, media: str = "") -> None:
        """Set the colour scheme, and the medium: "print", or "" for the screen."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", media=media, features=[feature])

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, waiting for it if it is a promise."""
        result = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key, as a person would."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        values = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key], "text": text}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **values)
        self.call("Input.dispatchKeyEvent", **values | {"type": "keyUp", "text": ""})

    def point(self, selector: str, *, click: bool = False) -> None:
        """Move the mouse to the middle of an element, and click if asked to."""
        x, y = self.evaluate(
            f"""(() => {{
              const element = document.querySelector({json.dumps(selector)});
              element.scrollIntoView({{block: "center"}});
              const box = element.getBoundingClientRect();
              return [box.left + box.width / 2, box.top + box.height / 2];
            }})()"""
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased")[: 3 if click else 1]:
            pressed = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **pressed)

    def complaints(self) -> list[str]:
        """Return exceptions, and what the console has as a warning or an error."""
        found = []
        for event in self.events:
            values = event.get("params", {})
            if event.get("method") == "Runtime.exceptionThrown":
                found.append(json.dumps(values["exceptionDetails"]))
            if event.get("method") == "Runtime.consoleAPICalled" and values["type"] != "log":
                found.append(json.dumps(values["args"]))
            if event.get("method") == "Log.entryAdded":
                found.append(f"{values['entry']['level']}: {values['entry']['text']}")
        return found

    def inaccessible(self, axe: Path | None = None) -> list[str]:
        """Return the serious and critical violations that axe-core finds on the page."""
        source = (axe or files("axe_core_python").joinpath("axe.min.js")).read_text("utf-8")
        self.evaluate(f"{source}; 0")
        result = self.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{found['id']}: {node['target']} {node.get('failureSummary', '')}"
            for found in result["violations"]
            if found["impact"] in _SERIOUS
            for node in found["nodes"]
        ]

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Write a picture of the window or of the whole page, as a PNG file."""
        taken = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(b64decode(taken["data"]))

    def print(self, path: Path) -> None:
        """Print the page as a PDF file of A4 pages."""
        taken = self.call(
            "Page.printToPDF", preferCSSPageSize=True, paperWidth=8.27, paperHeight=11.69
        )
        path.write_bytes(b64decode(taken["data"]))

    def _receive(self) -> dict[str, Any]:
        end = time.monotonic() + _SECONDS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._reader], [], [], max(end - time.monotonic(), 0))
            assert ready, f"The browser did not answer within {_SECONDS:.0f} seconds."
            received = os.read(self._reader, 1 << 20)
            assert received, "The browser ended."
            self._buffer += received
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    """Start a browser with an empty profile; it ends with the context."""
    assert EXECUTABLE is not None
    commands, to_browser = os.pipe()
    from_browser, answers = os.pipe()
    # The protocol's pipes are file descriptors 3 and 4, which only a shell can assign.
    shell = 'exec 3<&"$0" 4>&"$1"; shift; exec "$@"'
    process = subprocess.Popen(
        [
            *("bash", "-c", shell, str(commands), str(answers)),
            *(EXECUTABLE, *_FLAGS, f"--user-data-dir={profile}"),
        ],
        pass_fds=(commands, answers),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands)
    os.close(answers)
    try:
        yield Browser(from_browser, to_browser)
    finally:
        os.close(to_browser)  # The browser ends when its pipe is closed.
        os.close(from_browser)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

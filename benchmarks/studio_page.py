"""The studio in headless Chromium: what a person waits for.

    python -m benchmarks.studio_page way
    python -m benchmarks.studio_page grid [IMAGES]
    python -m benchmarks.studio_page live

way: from an empty folder to a measured model, with two dropped folders of 30 solar cells each.
grid: the first view of a project of 20,000 images, frames per second while it scrolls, and the
    memory of the tab.
live: what the model takes the pictures of a camera for: their rate, and how long an answer takes.
    The browser draws without a GPU, on the same cores as the studio.
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
from PIL import Image
from tests.report.browser import open_browser
from tests.server.page.visit import Visit

from benchmarks.fashion import read_fashion
from benchmarks.machine import describe
from benchmarks.studio import Studio
from headstart.commands.demo import write_solar_cells

_EACH = 30
_SIDE = 256
_LOOKED = "document.querySelector('#progress').textContent === ''"
_VERDICT = "document.querySelector('#verdict').textContent.includes('correct')"
_FRAMES = """new Promise((done) => {
  const grid = document.querySelector('#grid');
  const times = [];
  const step = (now) => {
    times.push(now);
    grid.scrollTop += 60;
    if (now - times[0] < 5000) requestAnimationFrame(step);
    else done(times.slice(1).map((time, index) => time - times[index]));
  };
  requestAnimationFrame(step);
})"""


@contextmanager
def _opened(folder: Path, cache: Path) -> Iterator[Visit]:
    """Open the studio on a folder, and its page; say at the end which hosts were asked."""
    studio = Studio(folder, cache)
    with tempfile.TemporaryDirectory() as profile, open_browser(Path(profile)) as browser:
        browser.call("Network.enable")
        browser.resize(1280, 900)
        visit = Visit(browser, studio.address.partition("?")[0])
        browser.call("Page.navigate", url=studio.address)
        _wait(visit, f"location.href === {visit.url!r} && document.querySelector('#empty')")
        yield visit
        asked = [
            event["params"]["request"]["url"]
            for event in browser.events
            if event.get("method") == "Network.requestWillBeSent"
        ]
        hosts = {urlsplit(url).hostname for url in asked if url.startswith("http")}
        print(
            f"- hosts that the page asked, in {len(asked):,} requests: {', '.join(sorted(hosts))}"
        )
        print(f"- complaints in the console: {len(browser.complaints())}")
    studio.process.kill()


def _wait(visit: Visit, condition: str, seconds: float = 600) -> float:
    """Wait until a condition holds, and return the seconds that took."""
    begin = time.perf_counter()
    while not visit.evaluate(f"Boolean({condition})"):
        assert time.perf_counter() - begin < seconds, condition
        time.sleep(0.02)
    return time.perf_counter() - begin


def way() -> None:
    """Print how long a person waits on the way to a model."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        table = write_solar_cells(root / "cells")
        rows = [line.split(",") for line in table.read_text().splitlines()[1:]]
        folders = []
        for label in dict.fromkeys(row[1] for row in rows):
            folder = root / label
            folder.mkdir()
            for row in [row for row in rows if row[1] == label][:_EACH]:
                shutil.copy(table.parent / row[0], folder)
            folders.append(folder)
        with _opened(root / "project", root / "cache") as visit:
            _wait(visit, "document.querySelector('#empty').checkVisibility()")
            begin = time.perf_counter()
            visit.drop(*folders)
            _wait(visit, f"document.querySelectorAll('#classes li').length === {len(folders)}")
            _wait(visit, "document.querySelector('#progress').textContent.startsWith('Learning')")
            extracted = time.perf_counter()
            probed = _wait(visit, _VERDICT)
            visit.click("#finish")
            finished = _wait(visit, "document.querySelector('#finished').checkVisibility()")
            total = time.perf_counter() - begin
            print(
                f"- two folders of {_EACH}: {extracted - begin:.1f} s until features were there, "
                f"then {probed:.1f} s for the probe and {finished:.1f} s for Finish; {total:.1f} s "
                f"in all. {visit.text('#tested')}"
            )


def grid(images: int) -> None:
    """Print how soon a large project is shown, how it scrolls, and what memory the tab takes."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "photos").mkdir()
        pixels, _ = read_fashion("train")
        for number, each in enumerate(pixels[:images]):
            picture = Image.fromarray(each).resize((_SIDE, _SIDE))
            picture.save(root / "photos" / f"{number:05}.jpg", quality=85)
        with _opened(root / "photos", root / "cache") as visit:
            print(f"- {images:,} images, while they are looked at: {_paint(visit)}")
            _wait(visit, _LOOKED)
            print(f"- after that: {_paint(visit)}")
            time.sleep(3)
            frames = np.array(visit.evaluate(_FRAMES))
            slow = np.quantile(frames, 0.95)
            print(
                f"- scrolling: {1000 / frames.mean():.0f} frames/s; 95 % of them within "
                f"{slow:.0f} ms"
            )
            tabs = [
                process.memory_info().rss
                for process in psutil.process_iter(["cmdline"])
                if "--type=renderer" in (process.info["cmdline"] or [])
            ]
            heap = visit.evaluate("performance.memory.usedJSHeapSize")
            script = f"of which JavaScript {heap / 1e6:.0f}"
            print(f"- memory of the tab: {max(tabs) / 1e6:.0f} MB, {script}")


def _paint(visit: Visit) -> str:
    """Load the page, and return when something was painted and when images were there."""
    visit.browser.call("Page.navigate", url="about:blank")
    visit.browser.call("Page.navigate", url=visit.url)
    _wait(visit, "document.querySelector('.cell img')?.complete")
    shown = visit.evaluate("performance.now()")
    first = visit.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    return f"first paint after {first:.0f} ms, first images after {shown:.0f} ms"


def live() -> None:
    """Print the rate of answers to a camera, and their latency."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        table = write_solar_cells(root / "cells")
        rows = [line.split(",") for line in table.read_text().splitlines()[1:201]]
        for row in rows:
            folder = root / "photos" / row[1]
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(table.parent / row[0], folder)
        with _opened(root / "photos", root / "cache") as visit:
            _wait(visit, _VERDICT)
            _wait(visit, _LOOKED)
            visit.click("#try")
            visit.click("#start-camera")
            time.sleep(5)
            visit.evaluate("performance.clearResourceTimings(); 0")
            begin = time.perf_counter()
            time.sleep(10)
            entries = json.loads(
                visit.evaluate(
                    "JSON.stringify(performance.getEntriesByType('resource')"
                    ".filter(({ name }) => name.endsWith('studio/look'))"
                    ".map(({ duration }) => duration))"
                )
            )
            seconds = time.perf_counter() - begin
            durations = np.array(entries)
            print(
                f"- live view: {len(durations) / seconds:.1f} images/s; answers take "
                f"{np.median(durations):.0f} ms, 95 % of them at most "
                f"{np.quantile(durations, 0.95):.0f} ms; the page says: {visit.text('#speed')}"
            )


_MODES: dict[str, tuple[Callable[..., None], tuple[int, ...]]] = {
    "way": (way, ()),
    "grid": (grid, (20_000,)),
    "live": (live, ()),
}

if __name__ == "__main__":
    print(describe())
    mode, defaults = _MODES[sys.argv[1]]
    given = tuple(map(int, sys.argv[2:]))
    mode(*given, *defaults[len(given) :])

"""Progress and warnings on the screen: plain lines, and bars in a terminal or a notebook."""

import io
import re
import sys
from time import sleep
from types import ModuleType

import pytest
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from headstart.watching import display, name_place, name_step, with_place
from headstart.watching.display import Display


def make_display(width: int = 100, **console: bool) -> tuple[Display, io.StringIO]:
    """Return a display that writes to a file, as with `2> log`, and that file."""
    out = io.StringIO()
    return Display(Console(file=out, width=width, **console)), out


def test_a_stage_is_one_line_when_it_is_done() -> None:
    """In a log, a stage after the first leaves one line with its time, count and rate."""
    shown, out = make_display()
    with shown.stage("Loading"):
        pass
    before = len(out.getvalue())
    with shown.stage("Checking images") as advance:
        advance(1, 2)
        advance(2, 2)
    pattern = r"✓ Checking images +\d+\.\d s  2 images, [\d,]+/s\n"
    assert re.fullmatch(pattern, out.getvalue()[before:])


def test_a_rate_below_one_is_not_shown() -> None:
    """A single image after a start of seconds has no rate, neither in the line nor in the bar."""
    stage = display._Stage("Predicting", Console(file=io.StringIO()))
    stage._begin -= 2.5
    stage.advance(1, 1)
    assert re.fullmatch(r"✓ Predicting +\d\.\d s  1 image", stage.summary().plain)
    assert (display._rate(0.4), display._rate(1234.4)) == ("", "1,234/s")


def test_the_first_stage_of_a_log_is_named_at_once() -> None:
    """Something is printed before the first stage has done anything."""
    shown, out = make_display()
    with shown.stage("Checking images"):
        assert out.getvalue() == "… Checking images\n"


def test_a_long_stage_breaks_the_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a log, a line with the count is printed if there was none for some seconds."""
    monkeypatch.setattr(display, "TICK", 0.01)
    monkeypatch.setattr(display, "MAX_SILENCE", 0.03)
    shown, out = make_display()
    with shown.stage("Checking images") as advance:
        advance(1200, 2500)
        for _ in range(500):
            sleep(0.01)
            if "1,200/2,500" in out.getvalue():
                break
    assert re.search(r"\n… Checking images +(\d\.\d s  )?1,200/2,500\n", out.getvalue())


def test_a_long_stage_shows_its_rate_and_the_time_left() -> None:
    """In a log as in a terminal, once they are known."""
    stage = display._Stage("Predicting", Console(file=io.StringIO()))
    seconds = iter((0, 10, 20))
    stage.bars.get_time = lambda: float(next(seconds, 20))
    stage._begin -= 20
    for done in (0, 500, 1000):
        stage.advance(done, 20_000)
    figures = "1,000/20,000  50/s  0:06:20 left"
    assert re.fullmatch(rf"… Predicting +20\.\d s  {figures}", stage.state().plain)


def test_a_stage_of_steps_names_what_runs_now() -> None:
    """The step is in the lines of a log and in the bar, beside the count; it fits 80 columns."""
    stage = display._Stage("Fine-tuning", Console(file=io.StringIO()))
    stage.name_step("round 2 of 3, step 10 of 40")
    stage.advance(320, 1280)
    assert stage.state().plain == "… Fine-tuning           round 2 of 3, step 10 of 40  320/1,280"
    out = io.StringIO()
    Console(file=out, width=80).print(stage.bars.get_renderable())
    assert "Fine-tuning: round 2 of 3, step 10 of 40 " in out.getvalue()


def test_the_place_where_a_stage_is_resumed_is_a_note() -> None:
    """A line of its own says where; `with_place` replaces it by another function."""
    shown, out = make_display()
    places: list[str] = []
    with shown.stage("Fine-tuning") as progress:
        name_place(progress, "round 2, step 10")
        name_place(with_place(progress, places.append), "round 3, step 1")
    assert "· Resuming at round 2, step 10\n" in out.getvalue()
    assert "round 3" not in out.getvalue() and places == ["round 3, step 1"]


def test_a_plain_function_receives_no_names() -> None:
    """What is passed as `progress` only has to take two numbers, and receives nothing else."""
    received: list[tuple[int, int]] = []
    places: list[str] = []

    def plain(done: int, total: int) -> None:
        received.append((done, total))

    name_step(plain, "round 1")
    name_place(None, "round 1")
    progress = with_place(plain, places.append)
    name_step(progress, "round 1")
    progress(3, 4)
    assert (received, places) == ([(3, 4)], [])


def test_a_stage_that_goes_on_after_the_last_image_has_no_count() -> None:
    """What follows the last image, such as a search for duplicates, has no bar that is full."""
    stage = display._Stage("Checking images", Console(file=io.StringIO()))
    stage.advance(3, 4)
    assert stage.state().plain == "… Checking images       3/4"
    stage.advance(4, 4)
    assert stage.state().plain == "… Checking images"
    assert not stage.bars.finished  # Otherwise, the bar would stand still.
    stage.advance(1, 4)
    assert stage.state().plain == "… Checking images       1/4"


def test_long_lines_of_a_log_are_not_wrapped() -> None:
    """In a log, a sentence is one line, however long."""
    shown, out = make_display(width=40)
    shown.note("word " * 20)
    shown.warn("word " * 20)
    assert len(out.getvalue().splitlines()) == 2


def test_a_line_is_due_before_five_seconds_of_silence() -> None:
    """Silence lasts at most as long as a line takes to be due and to be looked for."""
    assert display.MAX_SILENCE + display.TICK < 5


def test_a_stage_in_parts_counts_all_parts() -> None:
    """Each round restarts its count; a round that ends early counts what was done."""
    shown, out = make_display()
    with shown.stage("Fine-tuning") as advance:
        for done in (32, 64, 32, 48):
            advance(done, 640)
    assert "  112 images, " in out.getvalue()


def test_a_failed_stage_is_not_done() -> None:
    """A stage that ends in an error is not marked as done."""
    shown, out = make_display()
    with pytest.raises(RuntimeError), shown.stage("Checking images"):
        raise RuntimeError
    assert "✓" not in out.getvalue()


def test_loading_leaves_no_line() -> None:
    """In a log, loading is named when it begins; its time is part of the total."""
    shown, out = make_display()
    with shown.loading():
        pass
    assert out.getvalue() == "… Loading libraries\n"


def test_a_warning_is_printed_once() -> None:
    """A repeated warning is printed once."""
    shown, out = make_display()
    shown.warn("The disk is slow.")
    shown.warn("The disk is slow.")
    assert out.getvalue() == "! The disk is slow.\n"


def test_a_warning_is_shown_literally() -> None:
    """Names in a warning are not treated as markup."""
    shown, out = make_display()
    shown.warn("No test image of '[red]x[/]'.")
    assert out.getvalue() == "! No test image of '[red]x[/]'.\n"


def test_a_warning_that_is_passed_on_is_not_printed() -> None:
    """In the library, warnings are Python warnings only."""
    out, warnings = io.StringIO(), list[str]()
    Display(Console(file=out), warn=warnings.append).warn("The disk is slow.")
    assert (out.getvalue(), warnings) == ("", ["The disk is slow."])


def test_a_terminal_shows_a_bar() -> None:
    """In a terminal, the running stage has a bar, which the line of the finished one replaces."""
    shown, out = make_display(force_terminal=True, force_interactive=True)
    with shown.stage("Checking images") as advance:
        advance(3, 4)
        sleep(0.3)
    assert "━" in out.getvalue()
    assert "3/4" in out.getvalue()
    assert "✓" in out.getvalue().splitlines()[-1]


def test_a_terminal_without_cursor_shows_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that cannot move its cursor gets the lines of a log."""
    monkeypatch.setenv("TERM", "dumb")
    shown, out = make_display(force_terminal=True)
    with shown.stage("Checking images"):
        assert "Checking images" in out.getvalue()


def test_a_notebook_shows_a_bar_that_becomes_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a notebook, one output per stage is updated: first the bar, at last the time."""
    shown = _Outputs()
    module = ModuleType("IPython.display")
    monkeypatch.setattr(module, "display", shown.display, raising=False)
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr(display, "TICK", 0.01)
    with Display(Console(force_jupyter=True)).stage("Checking images") as advance:
        advance(3, 4)
        sleep(0.1)
    *bars, line = shown.outputs
    assert len(bars) >= 2
    assert all(isinstance(bar, Progress) for bar in bars)
    assert isinstance(line, Text)
    assert line.plain.startswith("✓ Checking images")


class _Outputs:
    """What a notebook would show, and what that is updated to."""

    def __init__(self) -> None:
        self.outputs: list[object] = []

    def display(self, shown: object, *, display_id: bool) -> "_Outputs":
        """Show an output that can be updated."""
        assert display_id
        self.update(shown)
        return self

    def update(self, shown: object) -> None:
        """Replace the output."""
        self.outputs.append(shown)

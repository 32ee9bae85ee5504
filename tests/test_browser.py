"""The HTML page in a real browser: the sweeps go step by step, and nothing else happens.

Run with `python -m pytest -m browser`; needs Chromium.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest

import tapegrad as tg
from tapegrad import math
from tapegrad._support.text import visible
from tapegrad.draw.page.html import page
from tapegrad.draw.walkthrough import walkthrough
from tapegrad.sweep.gradient import shown_cotangents
from tests.browser import Page, browser, program
from tests.test_page import HOSTILE, drawn, long, recorded

pytestmark = pytest.mark.browser

ROWS = "[...document.querySelectorAll('#entries tbody tr')]"
SEEN = f"{ROWS}.map(r => getComputedStyle(r.querySelector('.value')).visibility === 'visible')"
BARS = f"{ROWS}.map(r => r.querySelector('.bar').textContent)"
MARKED = f"{ROWS}.findIndex(r => r.classList.contains('now'))"
LAST = "Number(document.getElementById('slider').max)"
AT = "Number(document.getElementById('slider').value)"
VIEW = "document.querySelector('#canvas svg').getAttribute('viewBox').split(' ').map(Number)"


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if program() is None:
        pytest.skip("there is no Chromium here")
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def opened(window: Page, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Opens the page of a tape, which must have complained of nothing and fetched nothing."""
    files = []

    def open_page(tape: Any, svg: str | None = None) -> Page:
        bars = tape.cotangents() if len(tape.outputs) == 1 else [None] * len(tape)
        files.append(tmp_path / "page.html")
        files[0].write_text(page(tape, svg, bars), encoding="utf-8")
        window.open(files[0])
        return window

    yield open_page
    assert window.complaints == []
    assert window.requests == [files[0].as_uri()]


Opened = Callable[..., Page]


def go_to(window: Page, step: int) -> None:
    """The slider at that step."""
    window.ask(
        f"(s => {{ s.value = {step}; s.dispatchEvent(new Event('input')); }})"
        "(document.getElementById('slider'))"
    )


class TestSweeps:
    @pytest.mark.parametrize("has_picture", [True, False])
    def test_every_step_shows_what_has_arrived(self, opened: Opened, has_picture: bool) -> None:
        """At step k are shown the values of the forward steps up to k, and the sums up to k."""
        tape = recorded()
        found = walkthrough(tape, tape.cotangents())
        window = opened(tape, drawn(tape) if has_picture else None)
        arrived, bars = [False] * len(tape), [""] * len(tape)
        for number, step in enumerate(found.steps):
            if step.phase == "forward" and step.item is not None:
                arrived[step.item] = True
            for update in step.updates:
                bars[update.to] = update.after.short
            assert window.ask(AT) == number
            assert window.ask(SEEN) == arrived
            assert window.ask(BARS) == bars
            assert window.ask(MARKED) == (-1 if step.item is None else step.item)
            assert window.text("#text") == f"{step.text}."
            window.press("ArrowRight")
        assert window.ask(AT) == window.ask(LAST) == len(found.steps) - 1

    def test_the_last_step_shows_the_cotangents(self, opened: Opened) -> None:
        """At the end each entry has its cotangent; hovering gives every digit of it."""
        tape = recorded()
        window = opened(tape)
        window.press("End")
        exact = window.ask(f"{ROWS}.map(r => r.querySelector('.bar').title)")
        assert exact == [repr(bar) if bar is not None else "" for bar in shown_cotangents(tape)]

    def test_a_reverse_step_shows_its_arithmetic(self, opened: Opened) -> None:
        """Cotangent, partial with its rule, share, what it is added to, sum: for each operand."""
        tape = tg.record(lambda x: x * x)(3.0)
        window = opened(tape)
        go_to(window, 4)
        cells = window.ask(
            "[...document.querySelectorAll('#shares tbody tr')].map(r => "
            "[...r.cells].map(c => c.textContent))"
        )
        assert cells == [
            ["%0 x", "1", "×", "x = 3", "=", "3", "nothing", "3"],
            ["%0 x", "1", "×", "x = 3", "=", "3", "3", "6"],
        ]

    def test_the_slider_goes_both_ways(self, opened: Opened) -> None:
        """What is shown at a step does not depend on how one got there."""
        tape = recorded()
        window = opened(tape, drawn(tape))
        seen: dict[int, str] = {}
        for step in (0, 20, 5, 16, 3, 22, 20, 0, 16, 5, 3, 22):
            go_to(window, step)
            now = json.dumps([window.ask(SEEN), window.ask(BARS), window.ask(MARKED)])
            assert seen.setdefault(step, now) == now

    def test_the_picture_fills_as_the_sweeps_go(self, opened: Opened) -> None:
        """Boxes are faint and without numbers until their step, and cotangents arrive in them."""
        tape = recorded()
        window = opened(tape, drawn(tape))
        state = (
            "(b => [b.classList.contains('ahead'), getComputedStyle(b.querySelector('.value'))"
            ".visibility, b.querySelector('.bar').textContent])"
            "(document.querySelector('[data-box=n6]'))"
        )
        assert window.ask(state) == [True, "hidden", ""]
        go_to(window, 7)
        assert window.ask(state) == [False, "visible", ""]
        window.press("End")
        assert window.ask(state) == [False, "visible", "grad -1.165"]

    def test_a_line_is_shown_with_its_step(self, opened: Opened) -> None:
        """The line of the program that recorded the entry is marked, by more than a colour."""
        window = opened(recorded())
        go_to(window, 7)
        line = "document.querySelector('#code li.now')"
        assert window.ask(f"{line}.textContent").endswith('h = math.tanh(p["w"] * x + p["b"])')
        assert "▶" in window.ask(f"getComputedStyle({line}.firstChild, '::before').content")

    @pytest.mark.parametrize("has_picture", [True, False])
    def test_a_long_tape_steps_by_line(self, opened: Opened, has_picture: bool) -> None:
        """A long tape is stepped through line by line, with or without its picture."""
        tape = tg.record(long)(0.5)
        window = opened(tape, drawn(tape) if has_picture else None)
        assert window.ask(LAST) == 7
        assert window.ask(f"{ROWS}.length") == 3
        go_to(window, 2)
        assert window.ask(MARKED) == 1
        assert ": 1,500 sin; " in window.text("#text")
        if has_picture:
            assert window.ask("document.querySelector('[data-box=s1]').classList.contains('now')")
        window.press("End")
        assert "" not in window.ask(BARS)

    def test_several_outputs_step_forward(self, opened: Opened) -> None:
        """Without one output to start from there is the forward sweep, and a word about it."""
        window = opened(tg.record(lambda x: (x, x * x))(2.0))
        window.press("End")
        assert window.text("#text").startswith("The tape has 2 outputs")
        assert all(window.ask(SEEN))
        assert not any(window.ask(BARS))

    def test_two_thousand_entries_are_quick(self, opened: Opened) -> None:
        """A step of the longest tape shown entry by entry takes less than half a second."""

        def f(x: Any) -> Any:
            y = x
            for _ in range(998):
                y = (y + x) * x
            return y

        tape = tg.record(f)(0.5)
        window = opened(tape, drawn(tape))
        assert window.ask(LAST) > 3_900
        window.press("End")
        step = (
            "(start => { document.getElementById('back').click(); document.body.offsetHeight;"
            " return performance.now() - start; })(performance.now())"
        )
        assert min(window.ask(step) for _ in range(5)) < 500
        assert window.ask(AT) == window.ask(LAST) - 5

    @pytest.mark.skipif(shutil.which("dot") is None, reason="there is no dot program here")
    def test_a_drawn_page_fills_every_box(self, window: Page, tmp_path: Path) -> None:
        """In the page that `draw` writes, each box has its number, and each cotangent arrives."""
        tape = recorded()
        window.open(tape.draw(tmp_path / "page.html"))
        numbers = (
            "[...document.querySelectorAll('#canvas [data-box] .%s')]"
            ".filter(t => getComputedStyle(t).visibility === 'visible' && t.textContent).length"
        )
        assert (window.ask(numbers % "value"), window.ask(numbers % "bar")) == (0, 0)
        window.press("End")
        constants = sum(isinstance(node, tg.Constant | tg.Guard) for node in tape)
        assert window.ask(numbers % "value") == len(tape) - constants
        assert window.ask(numbers % "bar") >= len(tape.inputs) + 4
        assert window.complaints == []
        assert len(window.requests) == 1

    def test_lines_and_functions_show_nothing_before_it_is_computed(self, opened: Opened) -> None:
        """A box of many entries has its numbers when the last of these has its own."""
        tape = tg.record(long)(0.5)

        def total(xs: Any) -> Any:
            return math.sum([math.sin(x) for x in xs])

        entries = tg.record(total)([0.5] * 60)
        seen = (
            "[...document.querySelectorAll('#canvas text:is(.value, .bar)')]"
            ".filter(t => getComputedStyle(t).visibility === 'visible').length"
        )
        for each, view in ((tape, {}), (entries, {"by": "line"}), (entries, {})):
            window = opened(each, drawn(each, **view))
            assert window.ask(seen) == 0
            window.press("End")
            texts = len(re.findall(r'<text class="(?:value|bar)"', drawn(each, **view)))
            assert window.ask(seen) == texts > 3

    def test_a_phone_has_room_for_the_picture(self, window: Page, tmp_path: Path) -> None:
        """On a narrow screen the sections stand below each other, the picture as high as before."""
        tape, file = recorded(), tmp_path / "page.html"
        file.write_text(page(tape, drawn(tape), tape.cotangents()), encoding="utf-8")
        window.open(file, width=500)
        box = "document.querySelector('#canvas svg').getBoundingClientRect()"
        assert window.ask(f"{box}.height") > 300
        assert window.ask(f"{box}.right") <= 500

    def test_text_is_inside_its_box(self, opened: Opened) -> None:
        """As the browser measures it, in its fonts, no text is wider or higher than its box."""
        tape = tg.record(long)(0.5)
        for each in (recorded(), tape):
            window = opened(each, drawn(each))
            window.press("End")
            outside = window.ask(
                "[...document.querySelectorAll('#canvas [data-box] text')].filter(t => {"
                "const [a, b] = [t, t.parentNode.firstChild].map(e => e.getBoundingClientRect());"
                "return t.textContent && (a.left < b.left || a.right > b.right || a.top < b.top - 1"
                " || a.bottom > b.bottom + 1); }).map(t => t.textContent)"
            )
            assert outside == []


class TestHands:
    def test_keys(self, opened: Opened) -> None:
        """Arrows step, Home and End jump, and space plays from the start and pauses."""
        window = opened(recorded())
        for key, step in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 22)):
            window.press(key)
            assert window.ask(AT) == step
        window.press(" ")
        assert window.ask(AT) == 0
        assert window.text("#play") == "Pause"
        window.press(" ")
        assert window.text("#play") == "Play"
        window.press("End")
        window.press("Home")
        window.press("ArrowLeft")
        assert window.ask(AT) == 0

    def test_keys_on_the_slider_step_once(self, opened: Opened) -> None:
        """A key moves one step wherever the focus is."""
        window = opened(recorded())
        window.ask("document.getElementById('slider').focus()")
        window.press("ArrowRight")
        assert window.ask(AT) == 1
        window.ask("document.getElementById('next').focus()")
        window.press("ArrowRight")
        assert window.ask(AT) == 2

    def test_buttons(self, opened: Opened) -> None:
        """Each button does what its name says, and each has a name."""
        window = opened(recorded())
        for button, step in (("next", 1), ("next", 2), ("back", 1), ("last", 22), ("first", 0)):
            window.click(f"#{button}")
            assert window.ask(AT) == step
        nameless = (
            "[...document.querySelectorAll('button')].filter(b => !(b.ariaLabel || b.textContent))"
        )
        assert window.ask(f"{nameless}.length") == 0

    def test_playing_goes_on_by_itself(self, opened: Opened) -> None:
        """Play steps on its own, and stops at the end."""
        window = opened(recorded())
        window.press("End")
        window.press("ArrowLeft")
        window.press(" ")
        window.ask("1")
        wait = (
            "new Promise(done => { const look = () => "
            "document.getElementById('play').textContent === 'Play' "
            "? done(true) : setTimeout(look, 50); look(); })"
        )
        window.call("Runtime.evaluate", expression=wait, awaitPromise=True)
        assert window.ask(AT) == window.ask(LAST)

    @pytest.mark.parametrize(
        "selector", ["#entries tbody tr:nth-child(7) code", "[data-box=n6] text"]
    )
    def test_hovering_shows_the_entry(self, opened: Opened, selector: str) -> None:
        """Under the pointer an entry shows its row, its value to the last digit and its line."""
        tape = recorded()
        window = opened(tape, drawn(tape))
        window.press("End")
        assert window.ask("document.getElementById('hover').hidden")
        window.hover(selector)
        card = window.text("#hover")
        for told in (
            "%6", "tanh(%5)", "The hyperbolic tangent.", repr(tape[6].value),
            repr(tape.cotangents()[6]), f"{tape.site(6)} in model",
            'h = math.tanh(p["w"] * x + p["b"])',
        ):  # fmt: skip
            assert told in card
        window.mouse("mouseMoved", 5, 5)
        assert window.ask("document.getElementById('hover').hidden")

    def test_clicking_walks_the_graph(self, opened: Opened) -> None:
        """A click shows an entry's operands and users, and a click on one of them goes there."""
        window = opened(recorded())
        window.press("End")
        window.click("#entries tbody tr:nth-child(7) code")
        assert window.text("#operands") == "%5"
        assert window.text("#users") == "%8%11"
        window.click("#operands button")
        assert window.text("#operands") == "%4%1 b"
        assert window.text("#users") == "%6"
        assert window.ask(f"{ROWS}.findIndex(r => r.classList.contains('chosen'))") == 5
        assert window.text("#visits") == "forward, step 6reverse, step 20"
        window.click("#visits button:last-child")
        assert (window.ask(AT), window.ask(MARKED)) == (20, 5)

    def test_the_picture_zooms_and_pans(self, opened: Opened) -> None:
        """The wheel zooms at the pointer, dragging moves, and Fit shows the whole again."""
        tape = recorded()
        window = opened(tape, drawn(tape))
        window.click("#fit")
        whole = window.ask(VIEW)
        x, y = window.middle("#canvas svg")
        window.mouse("mouseWheel", x, y, deltaX=0, deltaY=-400)
        near = window.ask(VIEW)
        assert near[2] == pytest.approx(whole[2] / 2.718, rel=1e-3)
        assert near[0] + near[2] / 2 == pytest.approx(whole[0] + whole[2] / 2, abs=1.0)
        window.mouse("mousePressed", x, y, button="left", clickCount=1)
        window.mouse("mouseMoved", x + 30, y + 10, button="left", buttons=1)
        window.mouse("mouseReleased", x + 30, y + 10, button="left", clickCount=1)
        moved = window.ask(VIEW)
        assert moved[0] < near[0]
        assert moved[1] < near[1]
        assert moved[2:] == pytest.approx(near[2:])
        window.press("0")
        assert window.ask(VIEW) == whole
        window.press("+")
        assert window.ask(VIEW)[2] < whole[2]

    def test_what_is_at_its_step_is_in_view(self, opened: Opened) -> None:
        """However large the picture, the box of the step is brought into it."""
        tape = recorded()
        window = opened(tape, drawn(tape))
        inside = (
            "(([p, b]) => b.left >= p.left && b.right <= p.right)(['#canvas svg', '[data-box=n%d]']"
            ".map(s => document.querySelector(s).getBoundingClientRect()))"
        )
        assert not window.ask(inside % 13)
        for step in (14, 1, 7, 3):
            go_to(window, step)
            assert window.ask(inside % (step - 1))

    def test_what_it_reads_and_what_reads_it_is_in_view(self, opened: Opened) -> None:
        """Where there is room, the neighbours of a step come into view with it."""
        tape = recorded()
        window = opened(tape, drawn(tape))
        window.press("+")
        state = (
            "((p, boxes) => [Math.max(...boxes.map(b => b.right)) - Math.min(...boxes.map(b =>"
            " b.left)) + 26 < p.width, boxes.every(b => b.left >= p.left && b.right <= p.right)])"
            "(document.querySelector('#canvas svg').getBoundingClientRect(), %s.map(n => document"
            ".querySelector(`[data-box=n${n}]`)).filter(b => b)"
            ".map(b => b.getBoundingClientRect()))"
        )
        found = walkthrough(tape, tape.cotangents())
        seen = []
        for step, slot in enumerate(step.item for step in found.steps):
            if slot is not None and slot not in {7, 8}:  # those stand in the guard's diamond
                go_to(window, step)
                near = [slot, f"{slot}op", *found.items[slot].operands, *found.items[slot].users]
                seen.append(tuple(window.ask(state % json.dumps(near))))
        assert (True, False) not in seen
        assert seen.count((True, True)) > 10


class TestSafety:
    @pytest.mark.parametrize("entries", [1, 2001])
    def test_names_stay_text(self, opened: Opened, entries: int) -> None:
        """Labels, keys, scopes and titles full of markup are shown as they are written."""

        @tg.scope(HOSTILE)
        def inside(x: Any) -> Any:
            for _ in range(entries):
                x = tg.label(x * x, HOSTILE)
            return x

        tape = tg.record(lambda p: inside(p[HOSTILE]))({HOSTILE: 0.5})
        window = opened(attrs.evolve(tape, function=HOSTILE))
        assert window.text("h1") == f"{visible(HOSTILE)}, step by step"
        assert window.ask("document.querySelectorAll('img, iframe').length") == 0
        assert window.ask("document.scripts.length") == 2
        for _ in range(window.ask(LAST)):
            window.press("ArrowRight")
        assert window.ask("document.querySelectorAll('img, iframe').length") == 0
        if entries == 1:
            window.click("#entries tbody tr:nth-child(2) code")
            assert visible(HOSTILE) in window.text("#card")

    def test_the_policy_lets_nothing_else_run(self, window: Page, tmp_path: Path) -> None:
        """A script, a style or an image that came into a page by any road would do nothing."""
        tape = recorded()
        text = page(tape, None, tape.cotangents())
        intruders = (
            "<script>document.title = 'ran'</script><p id='late' onclick='document.title = 1'>x</p>"
            "<style>#late { display: none }</style><img src='http://127.0.0.1:9/x.png'>"
        )
        file = tmp_path / "page.html"
        file.write_text(text.replace("</body>", f"{intruders}</body>"), encoding="utf-8")
        window.open(file)
        window.ask("document.getElementById('late').click()")
        assert window.ask("document.title") == "model, step by step"
        assert window.ask("getComputedStyle(document.getElementById('late')).display") == "block"
        assert window.requests[1:] in ([], ["http://127.0.0.1:9/x.png"])
        assert sum("Content Security Policy" in told for told in window.complaints) >= 3

    def test_without_scripts_all_is_there(self, window: Page, tmp_path: Path) -> None:
        """Where scripts do not run, the page is the program, the table and the picture."""
        tape = recorded()
        file = tmp_path / "page.html"
        file.write_text(page(tape, drawn(tape), tape.cotangents()), encoding="utf-8")
        window.call("Emulation.setScriptExecutionDisabled", value=True)
        try:
            window.open(file)
            assert all(window.ask(SEEN))
            bars = window.ask(BARS)
        finally:
            window.call("Emulation.setScriptExecutionDisabled", value=False)
        assert [bool(bar) for bar in bars] == [bar is not None for bar in shown_cotangents(tape)]

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_words_can_be_read_in_light_and_dark(
        self, window: Page, tmp_path: Path, scheme: str
    ) -> None:
        """Ink and paper differ in lightness by a contrast of 7 or more, faint ink by 4.5."""
        file = tmp_path / "page.html"
        tape = recorded()
        file.write_text(page(tape, None, tape.cotangents()), encoding="utf-8")
        window.open(file, scheme=scheme)
        paper, ink, faint = (
            lightness(window.ask(f"getComputedStyle(document.querySelector('{where}')).{what}"))
            for where, what in (("body", "backgroundColor"), ("body", "color"), ("h2", "color"))
        )
        assert contrast(paper, ink) >= 7.0
        assert contrast(paper, faint) >= 4.5


def lightness(colour: str) -> float:
    """The relative luminance of a colour, after the Web Content Accessibility Guidelines."""
    parts = [int(part) / 255 for part in colour.strip("rgb()").split(",")]
    linear = [part / 12.92 if part <= 0.04 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: float, other: float) -> float:
    low, high = sorted((one, other))
    return (high + 0.05) / (low + 0.05)


def test_the_frames_of_a_step_differ(opened: Opened, tmp_path: Path) -> None:
    """Each step looks different from the one before: there is something to watch."""
    tape = recorded()
    window = opened(tape, drawn(tape))
    looks = []
    for _ in range(window.ask(LAST) + 1):
        window.picture(tmp_path / "step.png")
        looks.append((tmp_path / "step.png").read_bytes())
        window.press("ArrowRight")
    assert all(one != other for one, other in pairwise(looks))

"""The HTML page: its numbers are the tape's, and nothing in it is markup but ours."""

from __future__ import annotations

import html
import inspect
import json
import re
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import math
from tapegrad._support.text import visible
from tapegrad.draw.drawing import picture
from tapegrad.draw.layered import layered
from tapegrad.draw.measured import measured
from tapegrad.draw.page.html import page
from tapegrad.draw.svg import written
from tapegrad.draw.walkthrough import NumberText, walkthrough
from tapegrad.inspect.reverse_steps import reverse_steps, rule
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive
from tests.strategies import Program, points, programs, same_bits

HOSTILE = '</script><img src=x onerror="alert(1)">\'&amp;\\N\u202e\x00\u2028\ud800 ]]> <!--'


def model(p: Any, x: Any, y: Any) -> Any:
    h = math.tanh(p["w"] * x + p["b"])
    if h > 0.0:
        h = h * 2.0
    error = tg.label(h - y, "error")
    return error**2


def recorded(f: Callable[..., Any] = model) -> Any:
    return tg.record(f)({"w": 0.3, "b": 0.1}, 2.0, 1.5)


def long(x: Any) -> Any:
    """More entries than are shown one by one."""
    y = x
    for _ in range(1500):
        y = math.sin(y)
        y = y + x
    return y


def drawn(tape: Any, **view: Any) -> str:
    """The picture of a tape, placed without any program."""
    made = picture(tape, **view)
    boxes = list(map(measured, made.boxes))
    return written(made, boxes, layered(boxes, made.arrows, made.rankdir))


def data(text: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


class Tags(HTMLParser):
    """Every tag of a page, with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


class TestSteps:
    @given(st.data(), programs())
    def test_the_last_sums_are_the_cotangents(self, data: st.DataObject, program: Program) -> None:
        """What the steps add up to has the bits of the sweep that computes, at every slot."""
        tape = tg.record(program)(data.draw(points(program.width)))
        cotangents = tape.cotangents()
        sums: dict[int, float] = {tape.outputs[0]: 1.0}
        for step in reverse_steps(tape.columns, cotangents):
            assert same_bits(step.cotangent, sums[step.slot])
            for share in step.shares:
                assert share.before == sums.get(share.operand) or share.before != share.before
                sums[share.operand] = share.after
        for slot, bar in enumerate(cotangents):
            if bar is None:
                assert slot not in sums
            else:
                assert same_bits(bar, sums[slot])

    def test_the_arm_not_selected_gets_nothing(self) -> None:
        """A choice hands its cotangent to one arm, however wild the other one's partials are."""
        tape = tg.record(lambda x: tg.where(x > 0.0, math.sqrt(x), x))(-4.0)
        (choice,) = [node.slot for node in tape if getattr(node, "primitive", None) is ops.where]
        steps = {step.slot: step.shares for step in reverse_steps(tape.columns, tape.cotangents())}
        assert [(share.operand, share.partial) for share in steps[choice]] == [(0, 1.0)]

    WORDS = frozenset(
        ("where", "hypot", "maximum", "minimum", "fmod", "remainder", "logaddexp", "logsumexp")
    )
    """Rows whose rules are partly said in words."""

    @pytest.mark.parametrize(
        "row",
        [row for row in ops.TABLE.rows if row.arity != 0 and not row.helper],
        ids=lambda row: row.name,
    )
    def test_a_rule_is_the_partial(self, row: Primitive) -> None:
        """Read as Python, the formula of a partial gives its value, but for what words say."""
        operands = [0.3, 0.7, 0.2, 0.6][: 2 if row.arity is None else row.arity]
        operands = [operand + 1.0 for operand in operands] if row.name == "acosh" else operands
        static = [3.0] if row.has_static and row.name != "ldexp" else [3] * row.has_static
        y = row.value(*operands, *static)
        names = ["a", "b", "c", "d"][: len(operands)]
        functions = {row.name.rstrip("_"): row.value for row in ops.TABLE.rows}
        known = {**functions, **dict(zip(names, operands, strict=True)), "nan": math.nan, "y": y}
        for index, partial in enumerate(row.every_partial(y, *operands, *static)):
            if partial is not None and row.name not in self.WORDS:
                text = rule(row, index, "y", [*names, *static])
                value = eval(text, known)  # noqa: S307  # the formula is ours
                assert value == pytest.approx(partial, rel=1e-3), text

    def test_rules_with_words(self) -> None:
        """What a formula cannot say in Python, it says in words."""
        assert rule(ops.hypot, 0, "y", ["a", "b"]) == "a / hypot(a, ...)"
        assert rule(ops.maximum, 1, "y", ["a", "b"]) == "1 where b > a, one half for a tie, else 0"
        assert rule(ops.where, 1, "y", ["c", "a", "b"]) == "selected"
        assert rule(ops.logsumexp, 0, "y", ["a", "b"]) == "exp(a) / (exp(a) + ...)"

    def test_a_rule_of_the_users_own_is_not_spelled(self) -> None:
        """A user's partial sees numbers, never the names of a formula."""

        @tg.primitive(partials=lambda y, x: 3.0 * x * x, at=[0.5])
        def cube(x: float) -> float:
            return x * x * x

        tape = tg.record(cube)(2.0)
        found = walkthrough(tape, tape.cotangents())
        assert found.items[1].text == "cube(%0)"
        (update,) = found.steps[-2].updates
        assert (update.rule, update.partial) == ("", NumberText("12", "12.0"))


class TestWalkthroughs:
    def test_sentences(self) -> None:
        """A step says what it computes, with names and with numbers."""
        tape = recorded()
        found = walkthrough(tape, tape.cotangents())
        assert found.about == "14 entries, 4 inputs"
        assert [step.text for step in found.steps] == [
            "Nothing is computed yet: step on with the right arrow, or play with space",
            "w is an input: 0.3",
            "b is an input: 0.1",
            "x is an input: 2",
            "y is an input: 1.5",
            "%4 = w * x = 0.3 * 2 = 0.6",
            "%5 = %4 + b = 0.6 + 0.1 = 0.7",
            "%6 = tanh(%5) = tanh(0.7) = 0.6044",
            "%7 is a constant: 0",
            "%8 = %6 > 0 = 0.6044 > 0 = 1",
            "Python asked whether %6 > 0, and went on with True",
            "%10 is a constant: 2",
            "%11 = %6 * 2 = 0.6044 * 2 = 1.209",
            "error = %11 - y = 1.209 - 1.5 = -0.2913",
            "%13 = error ** 2 = (-0.2913) ** 2 = 0.08483",
            "The derivative of %13 in itself is 1: the way back begins",
            "%13 has its cotangent, 1, and hands it on times each partial",
            "error has its cotangent, -0.5825, and hands it on times each partial",
            "%11 has its cotangent, -0.5825, and hands it on times each partial",
            "%6 has its cotangent, -1.165, and hands it on times each partial",
            "%5 has its cotangent, -0.7395, and hands it on times each partial",
            "%4 has its cotangent, -0.7395, and hands it on times each partial",
            "The derivatives of %13 in the parameters have arrived",
        ]

    def test_updates_of_cotangents(self) -> None:
        """A reverse step says cotangent times partial, what it is added to, and the sum."""
        tape = tg.record(lambda x: x * x)(3.0)
        first, second = walkthrough(tape, tape.cotangents()).steps[-2].updates
        three, six = NumberText("3", "3.0"), NumberText("6", "6.0")
        assert (first.to, first.rule, first.partial, first.share) == (0, "x", three, three)
        assert (first.before, first.after) == (None, three)
        assert (second.before, second.after) == (three, six)

    def test_a_flat_step_hands_nothing_on(self) -> None:
        """A cotangent ends where the slope is 0 everywhere, and the input's is 0."""
        tape = tg.record(math.floor)(2.5)
        *_, step, end = walkthrough(tape, tape.cotangents()).steps
        assert step.text == "%1 has its cotangent, 1, and hands nothing on: it is flat"
        assert [update.after for update in end.updates] == [NumberText("0", "0.0")]

    def test_several_outputs_have_no_reverse_sweep(self) -> None:
        """Cotangents are those of one output; with another number of them the page says so."""
        tape = tg.record(lambda x: (x, x * x))(2.0)
        found = walkthrough(tape, [None, None])
        assert [step.phase for step in found.steps] == ["start", "forward", "forward", "end"]
        assert found.steps[-1].text == (
            "The tape has 2 outputs, and the reverse sweep starts from one"
        )

    def test_a_rule_that_shares_its_name_is_called_by_its_module(self) -> None:
        """A user's `sin` is told from the library's, and is a function all the same."""

        @tg.primitive(partials=lambda y, x: math.cos(x), at=[0.5])
        def sin(x: float) -> float:
            return math.sin(x)

        tape = tg.record(sin)(2.0)
        text = walkthrough(tape, tape.cotangents()).items[1].text
        assert text.endswith(".sin(%0)")
        assert text.startswith(__name__)

    def test_very_many_operands_are_left_out(self) -> None:
        """A formula of hundreds of operands shows the first and the last."""
        tape = tg.record(math.fsum)([float(n) for n in range(100)])
        found = walkthrough(tape, tape.cotangents())
        assert found.items[-1].text == "fsum(%0, %1, %2, %3, ..., %99)"
        assert [update.rule for update in found.steps[-2].updates] == [""] * 100

    def test_a_long_tape_is_shown_by_line(self) -> None:
        """Beyond 2,000 entries an item is a line, with its range and its largest cotangent."""
        tape = tg.record(long)(0.5)
        bars = tape.cotangents()
        found = walkthrough(tape, bars)
        assert found.about == "3,001 entries, shown as 3 lines of the program"
        first = found.items[1]
        assert first.text == "1,500 sin"
        assert (first.operands, first.users) == ((0, 2), (2,))
        sines = [node for node in tape if isinstance(node, tg.Apply) and node.primitive is ops.sin]
        low, high = (choose(node.value for node in sines) for choose in (min, max))
        assert first.value.exact == f"{low!r} to {high!r}"
        assert first.cotangent
        largest = max(abs(bars[node.slot] or 0.0) for node in sines)
        assert first.cotangent.exact == repr(largest)
        phases = [(step.phase, step.item) for step in found.steps]
        assert phases == [
            ("start", None),
            *(("forward", 0), ("forward", 1), ("forward", 2)),
            *(("reverse", 2), ("reverse", 1), ("reverse", 0)),
            ("end", None),
        ]
        assert found.steps[2].text == f"{first.name}: 1,500 sin; {first.value.short}"
        assert found.steps[-3].text == (
            f"{first.name}: cotangents of magnitudes up to {first.cotangent.short}"
        )

    def test_values_that_are_not_finite_are_counted(self) -> None:
        """A nan makes no range; it is counted, and a nan among cotangents is the largest."""

        def steep(x: Any) -> Any:
            for _ in range(2001):
                x = x * 2.0 if x < 1e307 else x * math.inf * 0.0
            return x

        tape = tg.record(steep)(1.0)
        found = walkthrough(tape, tape.cotangents())
        assert any(item.value.short.endswith(" not finite") for item in found.items)
        assert any(item.cotangent == NumberText("nan", "nan") for item in found.items)


class TestPages:
    def test_the_same_tape_gives_the_same_bytes(self) -> None:
        """Nothing of the moment or of the process is in a page."""
        pages = {page(tape := recorded(), drawn(tape), tape.cotangents()) for _ in range(2)}
        assert len(pages) == 1

    def test_nothing_is_fetched(self) -> None:
        """There is no address in a page, and its policy names the one script and the one style."""
        tape = recorded()
        text = page(tape, drawn(tape), tape.cotangents())
        assert not re.search(r"https?:|//[a-z]|@import|url\(|\bsrc=", re.sub(r"//\s.*", "", text))
        (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
        (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
        hashes = [b64encode(sha256(part.encode()).digest()).decode() for part in (style, script)]
        (policy,) = (
            found["content"]
            for tag, found in Tags(text).seen
            if found.get("http-equiv") == "Content-Security-Policy"
        )
        assert policy == (
            f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; "
            f"script-src 'sha256-{hashes[1]}'; base-uri 'none'; form-action 'none'"
        )

    @pytest.mark.parametrize("entries", [1, 1001])
    def test_names_stay_text(self, entries: int) -> None:
        """Labels, keys, scopes and titles full of markup are shown, letter by letter."""

        @tg.scope(HOSTILE)
        def inside(x: Any) -> Any:
            for _ in range(entries):
                x = tg.label(math.sin(x) * x, HOSTILE)
            return x

        tape = tg.record(lambda p: inside(p[HOSTILE]))({HOSTILE: 0.5})
        tape = attrs.evolve(tape, function=HOSTILE)
        text = page(tape, None, tape.cotangents())
        calm = page(recorded(), None, recorded().cotangents())
        text.encode()
        assert {tag for tag, _ in Tags(text).seen} == {tag for tag, _ in Tags(calm).seen}
        assert not [found for _, found in Tags(text).seen if "onerror" in found]
        assert text.count("<script") == text.count("</script") == 2
        assert not [char for char in text if not (char.isprintable() or char == "\n")]
        if entries == 1:
            assert data(text)["items"][-1]["label"] == visible(HOSTILE)
            assert data(text)["items"][-1]["scope"] == visible(HOSTILE)

    def test_a_picture_is_shapes_and_words(self) -> None:
        """Names full of markup are words in it; nothing in it could run, fetch or lead away."""
        tape = tg.record(lambda p: tg.label(p[HOSTILE] * 2.0, HOSTILE))({HOSTILE: 0.5})
        (found,) = re.findall(r"<svg.*</svg>", page(tape, drawn(tape), [2.0, None, 1.0]), re.DOTALL)
        tags = Tags(found).seen
        assert {tag for tag, _ in tags} == {
            "svg", "g", "rect", "ellipse", "path", "polygon", "text"
        }  # fmt: skip
        assert not [name for _, each in tags for name in each if name.startswith(("on", "href"))]
        assert visible(HOSTILE) in html.unescape(found)

    def test_numbers_of_a_picture_are_told_from_names(self) -> None:
        """Values and cotangents in boxes can be made to arrive; names that begin alike stay."""
        tape = tg.record(lambda p: tg.label(p["value 0.3"] * 2.0, "grad 5"))({"value 0.3": 0.5})
        text = drawn(tape)
        found = dict(re.findall(r'<text class="(\w+)"[^>]*>(.*?)</text>', text)[::-1])
        looks = {word: look for look, word in re.findall(r'<text class="(\w+)"[^>]*>(.*?)<', text)}
        assert (looks["value 0.5"], looks["grad 2"]) == ("value", "bar")
        assert {looks[name] for name in looks if "[" in name or name == "grad 5"} == {"title"}
        assert set(found) == {"title", "value", "bar", "text", "partial", "caption"}

    def test_every_entry_knows_its_boxes_and_its_line(self) -> None:
        """Each entry has its box, its oval and its line's box, and its line in the program."""
        tape = recorded()
        text = page(tape, drawn(tape), tape.cotangents())
        boxes = set(re.findall(r'data-box="(\w+)"', text))
        items = data(text)["items"]
        assert boxes == {box for item in items for box in item["boxes"]} & boxes
        folded = [slot for slot, item in enumerate(items) if not boxes & {*item["boxes"]}]
        assert folded == [7, 8]  # the comparison and its constant stand in the guard's diamond
        rows = re.findall(r"<li>.*?<code>(.*?)</code>", text)
        assert (
            rows[items[6]["line"]].strip()
            == "h = math.tanh(p[&quot;w&quot;] * x + p[&quot;b&quot;])"
        )
        assert items[6]["where"] == f"{tape.site(6)} in model"

    def test_the_program_begins_with_the_heads_of_its_functions(self) -> None:
        """A function is shown from its `def` on, its entries' lines after it, and gaps as such."""

        def f(x: Any) -> Any:
            """A long docstring.

            Of some lines, none of which has an entry.
            """
            x = x * x

            return x + 1.0

        tape = tg.record(f)(2.0)
        text = page(tape, None, tape.cotangents())
        assert re.findall(r'<li class="file">(.*?)</li>', text) == [Path(__file__).name]
        rows = re.findall(r"<li><span>(\d*)</span><code>(.*?)</code>", text)
        own = inspect.getsourcelines(f)[1]
        start = rows.index((str(own), "        def f(x: Any) -&gt; Any:"))
        assert rows[start : start + 4] == [
            (str(own), "        def f(x: Any) -&gt; Any:"),
            ("", "..."),
            (str(own + 5), "            x = x * x"),
            (str(own + 6), ""),
        ]

    def test_a_comprehension_has_the_head_of_its_function(self) -> None:
        """What has no `def` of its own is shown under the one around it."""

        def squares(xs: Any) -> Any:
            return math.fsum([x * x for x in xs])

        tape = tg.record(squares)([1.0, 2.0])
        assert "def squares(xs: Any)" in page(tape, None, tape.cotangents())

    def test_a_program_that_is_not_at_hand_is_said_to_be(self) -> None:
        """Lines of a file that cannot be read have their numbers only."""
        space: dict[str, Any] = {}
        exec(compile("def f(x):\n    return x * x", "<gone>", "exec"), space)  # noqa: S102  # a program without a file
        tape = tg.record(space["f"])(2.0)
        text = page(tape, None, tape.cotangents())
        assert '<li class="file">&lt;gone&gt; (its text is not at hand)</li>' in text
        assert "<li><span>2</span><code></code></li>" in text

    @pytest.mark.parametrize("count", [1, 1500])
    def test_no_positions_no_program(self, count: int) -> None:
        """A tape without positions has a page without a program."""

        def f(x: Any) -> Any:
            for _ in range(count):
                x = math.sin(x) + 1.0
            return x

        tape = tg.record(f)(2.0)
        bare = attrs.evolve(tape, sites=(), site_of=b"")
        text = page(bare, None, tape.cotangents())
        assert "No positions were kept." in text
        assert {item["line"] for item in data(text)["items"]} == {-1}

    def test_traced_values_are_shown_as_numbers(self) -> None:
        """Inside another recording a page shows the numbers that traced ones stand for."""
        seen = []

        def outer(x: Any) -> Any:
            tape = tg.record(lambda y: y * x)(x)
            seen.append(page(tape, None, [3.0, None, 1.0][: len(tape)]))
            return x

        tg.record(outer)(3.0)
        assert "9.0" in seen[0]

    def test_a_page_of_many_entries_stays_small(self) -> None:
        """A page is bounded by the length of the program, not by that of the tape."""
        tape = tg.record(long)(0.5)
        assert len(page(tape, None, tape.cotangents())) < 50_000

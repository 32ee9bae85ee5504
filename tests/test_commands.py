"""The command line: what each command says, as text and as JSON, and what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tapegrad.__main__ import main
from tapegrad.cli.commands import COMMANDS, json_value

MODEL = """\
from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Generic, NamedTuple, TypedDict

import attrs

from tapegrad import Real, label, math

if TYPE_CHECKING:
    from nowhere import Unknown

print("loaded")
POINT = {"x": 1.0}


@attrs.frozen
class Market(Generic[Real]):
    spot: Real
    vol: Real
    rate: Real = 0.0


@dataclasses.dataclass(frozen=True)
class Book(Generic[Real]):
    market: Market[Real]
    weights: list[Real]
    name: str = "book"


class Pair(NamedTuple, Generic[Real]):
    first: Real
    second: Real


class Params(TypedDict):
    w: float
    b: float


def product(a: Real, b: Real) -> Real:
    print("called")
    return a * b + (a if a > b else b)


def forward(market: Market[Real], strike: float, t: float = 1.0) -> Real:
    return label(market.spot * math.exp(market.rate * t), "forward") - strike * market.vol


def booked(book: Book[Real]) -> Real:
    return math.dot(book.weights, [book.market.spot, book.market.vol])


def steps(x: Real, n: int, kind: str = "up") -> Real:
    for _ in range(n):
        x = x * x if kind == "up" else -x
    return x


def mean(xs: Sequence[Real], p: Unknown = None) -> Real:
    return math.mean(xs)


def spread(*xs: Real) -> Real:
    return xs[0] * xs[1] - xs[-1]


def paired(pair: Pair[Real], other: tuple[float, ...] = (), *, shift: float | None = None) -> Real:
    return pair.first * pair.second + sum(other + ()) + (0.0 if shift is None else shift)


def loss(p: Params, x: float) -> Real:
    return p["w"] * x + p["b"]


def free(p: Mapping[str, Real]) -> Real:
    return p["a"] * p["c"]


def root(x: Real) -> Real:
    return math.sqrt(x)


def several(x: Real) -> list[Real]:
    return [x, x * x]


def kink(x: Real) -> Real:
    return abs(x)


def raises(x: Real) -> Real:
    return {"a": x}["b"]


def wordy(x: Real) -> Real:
    raise ValueError("two" + chr(10) + "lines")


def leaves(x: Real) -> Real:
    sys.exit("enough")


def scalar(x: Real) -> Real:
    return math.sum(x)


def words(kind: str) -> str:
    return kind
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of functions, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    (tmp_path / "model.py").write_text(MODEL, encoding="utf-8")
    return tmp_path


def line(text: str) -> int:
    """The line of the model that holds ``text``."""
    (found,) = (at for at, line in enumerate(MODEL.split("\n"), 1) if text in line)
    return found


class Runner:
    """Runs commands in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, command: str, status: int = 0) -> str:
        """What a command prints; it ends with this status."""
        assert main(command.split()) == status
        return self.capsys.readouterr().out

    def json(self, command: str, status: int = 0) -> Any:
        """What a command prints with ``--json``."""
        return json.loads(self(f"{command} --json", status))

    def refusal(self, command: str) -> str:
        """The one sentence that a command writes to stderr before it ends with status 2."""
        assert main(command.split()) == 2
        out, err = self.capsys.readouterr()
        assert out == ""
        assert "Traceback" not in err
        (told,) = (text for text in err.split("\n") if text and text not in {"loaded", "called"})
        return told.removeprefix("tapegrad: ")


@pytest.fixture
def run(model: Path, capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(capsys)


class TestGrad:
    def test_numbers_by_name_are_differentiated_together(self, run: Runner) -> None:
        """Parameters that are numbers are a gradient by name, as those of partials are."""
        assert run("grad model.py:product --at a=-4 b=2") == (
            "product = -6\n\ninput  at  derivative\na      -4  2\nb      2   -3\n"
        )
        assert run.json("grad model.py:product --at a=-4 b=2") == {
            "value": -6.0, "at": {"a": -4.0, "b": 2.0}, "gradient": {"a": 2.0, "b": -3.0}
        }  # fmt: skip

    def test_what_the_program_prints_does_not_spoil_the_answer(
        self, run: Runner, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Standard output holds the answer and nothing else."""
        assert main(["grad", "model.py:product", "--at", "a=1", "b=2", "--json"]) == 0
        out, err = capsys.readouterr()
        assert json.loads(out)["value"] == 4.0
        assert err == "loaded\ncalled\n"

    @pytest.mark.parametrize(
        ("command", "gradient"),
        [
            (
                "forward --at market.spot=100 market.vol=0.5 strike=2",
                {"spot": 1, "vol": -2, "rate": 100},
            ),
            (
                'forward --at market={"spot":9,"vol":0.5} strike=2',
                {"spot": 1, "vol": -2, "rate": 9},
            ),
            (
                "booked --at book.market.spot=3 book.market.vol=4 book.weights=1,2",
                {
                    "market.spot": 1,
                    "market.vol": 2,
                    "market.rate": 0,
                    "weights.0": 3,
                    "weights.1": 4,
                },
            ),
            ("steps --at x=3 n=2", {"x": 108}),
            ("steps --at x=3 n=3 kind=down", {"x": -1}),
            ("mean --at xs=1,2,3,4", {"0": 0.25, "1": 0.25, "2": 0.25, "3": 0.25}),
            ("mean --at xs=[1,2]", {"0": 0.5, "1": 0.5}),
            ("mean --at xs=7,", {"0": 1.0}),
            ("spread --at xs=2,3,4", {"xs.0": 3.0, "xs.1": 2.0, "xs.2": -1.0}),
            ("paired --at pair.first=2 pair.second=3", {"first": 3, "second": 2}),
            ("paired --at pair.first=2 pair.second=3 other=1,2 shift=4", {"first": 3, "second": 2}),
            ("loss --at p.w=2 p.b=1 x=5", {"w": 5, "b": 1}),
            ("free --at p.a=2 p.c=1e0", {"a": 1, "c": 2}),
            ("root --at x=.25", {"x": 1.0}),
            ("root --at x=inf", {"x": 0.0}),
            ("root --at x=nan", {"x": "nan"}),
        ],
    )
    def test_arguments_become_what_the_parameters_ask_for(
        self, run: Runner, command: str, gradient: dict[str, float]
    ) -> None:
        """Dotted names build dicts and models, commas lists; annotations ask for tuples."""
        assert run.json(f"grad model.py:{command}")["gradient"] == gradient

    def test_a_file_gives_the_point_and_names_after_it_change_it(
        self, run: Runner, model: Path
    ) -> None:
        """TOML has the same names, and what comes later wins."""
        (model / "at.toml").write_text("strike = 2\n[market]\nspot = 100\nvol = 0.5\n")
        found = run.json("grad model.py:forward --at at.toml market.vol=0.25")
        assert found["at"] == {"spot": 100.0, "vol": 0.25, "rate": 0.0}
        assert found["gradient"]["vol"] == -2.0

    def test_a_file_beside_the_named_one_can_be_imported(self, run: Runner, model: Path) -> None:
        """The folder of the file is where its imports are looked up, and names do not collide."""
        (model / "beside.py").write_text("K = 3.0\n")
        (model / "json.py").write_text("from beside import K\n\ndef f(x): return K * x\n")
        assert run.json("grad json.py:f --at x=1")["gradient"] == {"x": 3.0}


class TestReadings:
    def test_show_is_the_table(self, run: Runner) -> None:
        """The tape as print(tape) shows it, with positions in the file; or every entry as data."""
        head = line("def root")
        assert run("show model.py:root --at x=4") == (
            "slot  operation  operands  value  cotangent  label     line\n"
            f"%0    input                4      0.25       x         model.py:{head}\n"
            f"%1    sqrt       %0        2      1          (output)  model.py:{head + 1}\n"
        )
        first, last = run.json("show model.py:root --at x=4")["entries"]
        assert (first["kind"], first["name"], first["value"]) == ("input", "x", 4.0)
        assert last == {
            "slot": 1, "kind": "operation", "operation": "sqrt", "operands": [0], "static": [],
            "value": 2.0, "name": None, "cotangent": 1.0, "output": True, "scope": [],
            "site": {"file": str(Path("model.py").resolve()), "line": head + 1, "function": "root"},
        }  # fmt: skip
        entries = run.json("show model.py:product --at a=1 b=2")["entries"]
        kinds = {entry.get("operation", entry["kind"]) for entry in entries}
        assert kinds == {"input", "mul", "gt", "guard", "add"}

    def test_show_takes_functions_of_several_numbers(self, run: Runner) -> None:
        """A tape has any number of outputs; a gradient one."""
        assert "(output)" in run("show model.py:several --at x=4")
        assert run.json("show model.py:several --at x=4")["entries"][0]["cotangent"] is None
        assert run.refusal("grad model.py:several --at x=4") == (
            "this tape returned a list, and a gradient needs one number: record a function that "
            "returns one, or use jacobian for one of several"
        )

    def test_lines_and_stats(self, run: Runner) -> None:
        """The listing and the figures, as text and as data."""
        assert "1 false" in run("lines model.py:product --at a=1 b=2")
        found = run.json("lines model.py:product --at a=1 b=2")["lines"]
        assert [(x["site"]["line"], x["entries"], x["declined"]) for x in found] == [
            (line("a if a > b"), 4, 1)
        ]
        assert "  mul      1" in run("stats model.py:product --at a=1 b=2")
        assert run.json("stats model.py:product --at a=1 b=2")["operations"][0] == ["mul", 1]

    def test_explain_takes_names_as_at_does(self, run: Runner) -> None:
        """An input may be called by its path, or with the parameter before it."""
        at = "model.py:forward --at market.spot=100 market.vol=0.5 strike=2"
        short = run.json(f"explain {at} --of forward --wrt spot")
        assert short == run.json(f"explain {at} --of forward --wrt market.spot")
        assert short["derivative"] == 1.0
        assert short == run.json(f"explain {at} --of forward --wrt %0")
        assert run(f"explain {at} --wrt strike --top 0").startswith("d result / d strike = -0.5\n")

    def test_nonfinite_fails_where_there_is_one(self, run: Runner) -> None:
        """The first nan or infinity is a failed check."""
        assert run("nonfinite model.py:root --at x=4") == "everything is finite\n"
        assert run.json("nonfinite model.py:root --at x=4") is None
        assert run("nonfinite model.py:root --at x=-1", status=1) == (
            f"the first value that is not finite is nan: %1 = sqrt(x = -1.0), "
            f"model.py:{line('sqrt(x)')}\n"
        )
        assert run.json("nonfinite model.py:root --at x=-1", status=1)["value"] == "nan"

    def test_check_fails_where_differences_do_not_confirm(self, run: Runner) -> None:
        """A gradient that is right ends with 0, and one at a kink with 1."""
        assert run("check model.py:product --at a=-4 b=2").startswith("product: 2 right\n")
        assert run.json("check model.py:product --at a=-4 b=2 --order 2")["ok"] is True
        assert "kink" in run("check model.py:kink --at x=0", status=1)
        assert (
            run.json("check model.py:kink --at x=0", status=1)["findings"][0]["verdict"] == "kink"
        )

    def test_diff_fails_where_calls_part(self, run: Runner) -> None:
        """Two points, or two functions, are told apart as diff does."""
        at = "diff model.py:product --at a=1 b=2"
        assert run(at) == "the same 6 entries with the same values\n"
        assert "guard" in run(f"{at} --to a=3", status=1)
        assert run.json(f"{at} --to b=3", status=1)["changed"] == 3
        other = run("diff model.py:kink --at x=2 --against model.py:root", status=1)
        assert "abs(x) = 2.0" in other
        assert "sqrt(x)" in other

    def test_a_call_does_not_differ_from_itself(self, run: Runner) -> None:
        """Classes that the file defines are the same on both sides."""
        at = "model.py:forward --at market.spot=100 market.vol=0.5 strike=2"
        same = "the same 10 entries with the same values\n"
        assert run(f"diff {at}") == same
        assert run(f"diff {at} --against model.py:forward") == same

    def test_draw_writes_the_picture(self, run: Runner, model: Path) -> None:
        """The options of a picture are those of Tape.draw."""
        at = "model.py:forward --at market.spot=100 market.vol=0.5 strike=2"
        assert run(f"draw {at} -o a.dot") == "wrote a.dot\n"
        assert "forward" in (model / "a.dot").read_text()
        options = "--by node --around market.spot --depth 1 --top 9 --rankdir TB"
        assert run.json(f"draw {at} -o b.dot {options}") == {"path": "b.dot"}
        assert "rankdir=TB" in (model / "b.dot").read_text()
        assert run(f"draw {at} -o c.dot --between market.spot forward") == "wrote c.dot\n"
        assert run(f"draw {at} -o e.dot --around %0 --no-gradient") == "wrote e.dot\n"
        assert "within 2 steps of %0" in (model / "e.dot").read_text()
        assert "grad" not in (model / "e.dot").read_text()
        assert run.refusal(f"draw {at} -o d.dot --around market.spt").endswith("did you mean spot?")

    def test_demo_is_the_demo(self, run: Runner, model: Path) -> None:
        """The demo prints, draws, and has its gradient as data."""
        assert "record(neuron)(point)" in run("demo")
        assert (model / "neuron.svg").read_text().startswith("<svg")
        assert "neuron, step by step" in (model / "neuron.html").read_text()
        assert run.json("demo --folder .")["gradient"]["x2"] == pytest.approx(0.5)
        assert run.refusal("demo --folder gone") == "gone is not a folder: name one that exists"


class TestRefusals:
    @pytest.mark.parametrize(
        ("command", "text"),
        [
            (
                "grad model.py",
                "model.py names no function: write file.py:function",
            ),
            (
                "grad gone.py:f",
                "there is no file gone.py: name a file of Python",
            ),
            (
                "grad notes.txt:f",
                "notes.txt is no file of Python: name one that ends in .py",
            ),
            (
                "grad model.py:produkt",
                "model.py has no function produkt: did you mean product?",
            ),
            (
                "grad model.py:POINT",
                "POINT in model.py is a dict: name a function",
            ),
            (
                "grad model.py:POINT.a.b",
                "model.py has no function POINT.a.b: there is none",
            ),
            (
                "grad model.py:product --at 4",
                "--at 4 gives no value: write name=value, or name a .toml file",
            ),
            (
                "grad model.py:product --at =4",
                "--at =4 gives no value: write name=value, or name a .toml file",
            ),
            (
                "grad model.py:product --at gone.toml",
                "--at gone.toml cannot be read: No such file or directory",
            ),
            (
                "grad model.py:product --at bad.toml",
                "--at bad.toml is not TOML: Invalid statement (at line 1, column 1)",
            ),
            (
                "grad model.py:mean --at xs=[1,2",
                "--at xs=[1,2 is not JSON: Expecting ',' delimiter: line 1 column 5 (char 4)",
            ),
            (
                "grad model.py:product --at a=1 a.b=2",
                "--at gives a the value 1 and the part a.b: give one",
            ),
            (
                "grad model.py:product --at a=1",
                "product needs more: give --at b=...",
            ),
            (
                "grad model.py:product --at a=1 c=2",
                "product has no parameter c: use a, b",
            ),
            (
                "grad model.py:forward --at market.spot=1 strike=2",
                "market is a Market and needs more: give --at market.vol=...",
            ),
            (
                "grad model.py:forward --at market.spto=1 strike=2",
                "market has no field spto, it is a Market: did you mean spot?",
            ),
            (
                "grad model.py:booked --at book.weights=1 book.market.spt=2",
                "book.market has no field spt, it is a Market: did you mean spot?",
            ),
            (
                "grad model.py:words --at kind=up",
                "words is given no number to differentiate in: give one, --at x=1.0",
            ),
            (
                "grad model.py:raises --at x=1",
                "raises raised KeyError: 'b' (model.py:<return {>)",
            ),
            (
                "grad model.py:wordy --at x=1",
                r"wordy raised ValueError: two\nlines (model.py:<two>)",
            ),
            (
                "grad model.py:leaves --at x=1",
                "leaves raised SystemExit: enough (model.py:<sys.exit>)",
            ),
            (
                "grad model.py:scalar --at x=1",
                "scalar raised TypeError: 'Var' object is not iterable (model.py:<math.sum(x)>)",
            ),
            (
                "grad broken.py:f",
                "broken.py raised ZeroDivisionError: division by zero (broken.py:1)",
            ),
            (
                "grad typo.py:f",
                "typo.py raised SyntaxError: '(' was never closed (typo.py, line 1)",
            ),
            (
                "explain model.py:root --at x=1 --wrt y",
                "nothing on this tape is called 'y' (model.py:<def root>): use x",
            ),
            (
                "grad model.py:free --at p.a=up p.c=1",
                (
                    "a is a str ('up'), not a number or a container of numbers: pass a float "
                    "there, or pass it as data after the first argument (model.py:<def free>)"
                ),
            ),
        ],
    )
    def test_what_cannot_be_used_is_refused_in_one_sentence(
        self, run: Runner, model: Path, command: str, text: str
    ) -> None:
        """A wrong file, function or point ends with status 2, a sentence, and no traceback."""
        (model / "notes.txt").write_text("")
        (model / "bad.toml").write_text("= 1\n")
        (model / "broken.py").write_text("1 / 0\n")
        (model / "typo.py").write_text("f(\n")
        told = re.sub("<(.*)>", lambda found: str(line(found[1])), text)
        assert run.refusal(command) == told

    @pytest.mark.parametrize(
        "command", ["", "fly", "grad", "draw model.py:root", "explain model.py:root"]
    )
    def test_usage_ends_with_status_2(
        self, command: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A command line that is not one shows how one is written."""
        with pytest.raises(SystemExit) as ended:
            main(command.split())
        assert ended.value.code == 2
        assert capsys.readouterr().err.startswith("usage: tapegrad")


class TestTheProgram:
    @pytest.mark.parametrize("command", [*COMMANDS])
    def test_every_command_has_help_and_json(
        self, command: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The help of a command says that the file is run, and what the exit status means."""
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        text = capsys.readouterr().out
        assert ended.value.code == 0
        assert "--json" in text
        assert "Exit status: 0 fine, 1 a failed check, 2" in text
        assert ("The file is run" in text) == (command != "demo")

    def test_it_runs_as_a_module_and_stops_where_the_reader_does(self, model: Path) -> None:
        """`python -m tapegrad` is the command, and a closed pipe is no error."""
        command = [sys.executable, "-m", "tapegrad", "show", "model.py:steps", "--at", "x=1", "n=2"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == b"loaded\n"
        assert process.returncode == 0

    def test_data_is_json_whatever_it_holds(self) -> None:
        """What is not finite is text, and what JSON does not know is told by str."""
        given: Sequence[object] = (float("nan"), float("-inf"), 1.5, True, None, {2: (1,)}, 1j)
        assert json_value(given) == ["nan", "-inf", 1.5, True, None, {"2": [1]}, "1j"]


def transcripts(page: str) -> list[tuple[str, str]]:
    """Every command of the `console` blocks of a page, and what the page says it prints."""
    blocks = re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    found = []
    for block in blocks:
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "reading.md"


def test_transcripts_are_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What the page shows of the command line is what the commands print."""
    page = PAGE.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    program = re.search(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert program
    (tmp_path / "pricing.py").write_text(program[1], encoding="utf-8")
    shown = transcripts(page)
    assert len(shown) >= 4
    for command, output in shown:
        name, *arguments = command.split()
        assert name == "tapegrad"
        main(arguments)
        assert capfd.readouterr().out == output

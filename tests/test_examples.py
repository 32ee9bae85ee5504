"""The programs under examples/ run, print true numbers, and are listed."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from examples import backprop_by_hand, derivative, moons, neuron
from tapegrad import grad, record

FOLDER = Path(__file__).parent.parent / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
SLOW = {"bigram", "bundle", "digits", "garch", "greeks", "hmc", "kalman", "moons"}


@pytest.mark.parametrize("x", [-2.0, 0.0, 2.0 / 3.0, 3.0])
def test_derivative_by_hand_and_by_difference_agree_with_the_tape(x: float) -> None:
    """grad(f)(x) has all digits of the formula, which differences approach."""
    assert grad(derivative.f)(x) == pytest.approx(derivative.by_hand(x), rel=1e-14)
    forward, central = derivative.errors(x, 1e-5)
    assert central < forward < 1e-4


def test_backpropagation_by_hand_is_what_the_tape_holds() -> None:
    """Each cotangent found by hand stands on the tape's entry of that name."""
    point = (2.0, -3.0, 10.0, -2.0)
    by_hand = backprop_by_hand.by_hand(*point)
    assert backprop_by_hand.by_tape(*point) == by_hand
    assert by_hand == {
        "L": 1.0, "d": -2.0, "f": 4.0, "e": -2.0, "c": -2.0, "a": 6.0, "b": -4.0
    }  # fmt: skip


def test_both_spellings_of_the_neuron_have_one_gradient() -> None:
    """tanh, taken apart into exp, changes the tape and not the gradient."""
    want = {"x1": -1.5, "x2": 0.5, "w1": 1.0, "w2": 0.0, "b": 0.5}
    for program in (neuron.by_tanh, neuron.by_exp):
        tape = record(program)(neuron.POINT)
        assert tape.value == pytest.approx(0.7071067811865476, rel=1e-12)
        assert tape.gradient() == pytest.approx(want, rel=1e-12, abs=1e-12)


@pytest.mark.slow
def test_the_moons_are_told_apart(tmp_path: Path) -> None:
    """After micrograd's hundred steps at least 95 of 100 points are on the right side."""
    pytest.importorskip("matplotlib").use("agg")
    moons.main(tmp_path / "moons.png")
    assert (tmp_path / "moons.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=pytest.mark.slow if path.stem in SLOW else ())
        for path in EXAMPLES
    ],
)
def test_every_example_runs_as_a_program(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python examples/name.py` ends well, with its checks, and says something."""
    monkeypatch.setattr("sys.argv", [str(path)])
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out


def test_every_example_is_listed() -> None:
    """The page in the folder says of each program what it shows."""
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    for path in EXAMPLES:
        assert f"[{path.name}]({path.name})" in page

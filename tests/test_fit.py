"""``fit``: the loop one would write, compiled, on batches of a seed, which can be interrupted."""

from __future__ import annotations

import math as standard
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import attrs
import numpy as np
import pytest

import tapegrad as tg
from tapegrad import Real, Scalar, math
from tapegrad.errors import ConvergenceError, InputError, OutputError, TracedNumberError
from tapegrad.learn import Step, fit, optim
from tapegrad.learn.batches import Rows
from tests.places import place, refusal

XS = [float(n) / 8.0 for n in range(16)]
YS = [2.0 * x + 1.0 for x in XS]
START = {"a": 0.5, "b": 0.0}


def error(p: Mapping[str, Real], x: float, y: float) -> Real:
    return (p["a"] * x + p["b"] - y) ** 2


def mean_error(p: Mapping[str, Real], xs: Sequence[float], ys: Sequence[float]) -> Real:
    return math.mean([error(p, x, y) for x, y in zip(xs, ys, strict=True)])


AFTER = "after the parameters"

untyped: Any = mean_error
untyped_grad: Any = tg.grad
untyped_fit: Any = fit
"""For calls that are wrong on purpose."""


def array_error(p: Any, xs: Any, ys: Any) -> Any:
    difference = xs * p["a"] + p["b"] - ys
    return (difference * difference).mean()


def by_hand(loss: Callable[..., Any], start: Any, *data: Any, steps: int) -> list[Any]:
    """The losses and parameters of a loop that is written out."""
    optimizer = optim.adam(0.1)
    p, state, found = start, optimizer.init(start), []
    for _ in range(steps):
        value, slope = tg.value_and_grad(loss)(p, *data)
        p, state = optimizer.update(slope, state, p)
        found.append((value, p))
    return found


def told(steps: Any) -> list[Any]:
    return [(step.loss, step.parameters) for step in steps]


class TestLoop:
    @pytest.mark.parametrize("steps", [5, 60])
    def test_it_is_the_loop_that_one_would_write(self, steps: int) -> None:
        """The same bits as eager gradients and updates, compiled at once or when it pays."""
        found = fit(mean_error, START, XS, YS, optimizer=optim.adam(0.1), steps=steps)
        assert told(found) == by_hand(mean_error, START, XS, YS, steps=steps)

    @pytest.mark.parametrize(("steps", "most"), [(60, 2), (5, 5)])
    def test_a_long_fit_is_compiled_at_once(self, steps: int, most: int) -> None:
        """The loss is recorded before the first step, and not called again."""
        calls: list[int] = []

        def loss(p: Mapping[str, Real], xs: list[float]) -> Real:
            calls.append(1)
            return math.sum([math.sin(p["a"] * x) for x in xs * 50])

        fit(loss, START, XS, optimizer=optim.sgd(1e-4), steps=steps).last()
        assert len(calls) <= most

    def test_a_model_of_arrays(self) -> None:
        """Parameters that are arrays come back as arrays, with the same bits as by hand."""
        start = {"a": np.array([0.5, 0.25]), "b": 0.0}
        xs, ys = np.arange(6.0).reshape(3, 2), np.arange(6.0).reshape(3, 2) + 1.0
        found = told(fit(array_error, start, xs, ys, optimizer=optim.adam(0.1), steps=7))
        for (loss, p), (wanted, q) in zip(
            found, by_hand(array_error, start, xs, ys, steps=7), strict=True
        ):
            assert loss == wanted
            assert p["a"].tolist() == q["a"].tolist()
            assert p["b"] == q["b"]

    @pytest.mark.parametrize("reduce", ["mean", "sum"])
    def test_a_loss_of_one_row(self, reduce: Any) -> None:
        """The rows' losses are averaged or summed, as if that were written out."""
        factor = 1.0 if reduce == "mean" else len(XS)

        def whole(p: Mapping[str, Real], xs: Sequence[float], ys: Sequence[float]) -> Real:
            return mean_error(p, xs, ys) * factor

        found = told(fit(error, START, XS, YS, optimizer=optim.adam(0.1), steps=6, reduce=reduce))
        wanted = by_hand(whole, START, XS, YS, steps=6)
        for (loss, p), (value, q) in zip(found, wanted, strict=True):
            assert loss == pytest.approx(value, rel=1e-12)
            assert p == pytest.approx(q, rel=1e-12)

    def test_a_record_tells_of_its_step(self) -> None:
        """The loss and the length of the gradient before it, and the rate and parameters of it."""
        rate = optim.exponential(0.1, 0.5)
        first, second = fit(mean_error, START, XS, YS, optimizer=optim.sgd(rate), steps=2)
        value, slope = tg.value_and_grad(mean_error)(START, XS, YS)
        assert (first.step, first.loss, first.rate) == (1, value, 0.1)
        assert first.gradient_norm == pytest.approx(standard.hypot(*slope.values()))
        assert first.parameters == {key: START[key] - 0.1 * slope[key] for key in START}
        assert (second.step, second.rate, second.state.step) == (2, 0.05, 2)
        assert str(attrs.evolve(first, loss=0.125)) == "step 1: loss 0.125"

    def test_records_and_metrics_now_and_then(self) -> None:
        """Each so many steps and the last have a record, and metrics are taken for these alone."""
        asked: list[float] = []

        def slope_error(p: Mapping[str, float]) -> float:
            asked.append(p["a"])
            return abs(p["a"] - 2.0)

        found = list(
            fit(
                mean_error, START, XS, YS,
                optimizer=optim.adam(0.1), steps=10, every=4, metrics={"off": slope_error},
            )
        )  # fmt: skip
        assert [step.step for step in found] == [4, 8, 10]
        assert asked == [step.parameters["a"] for step in found]
        assert found[0].metrics == {"off": abs(asked[0] - 2.0)}
        assert ", off " in str(found[0])

    def test_data_of_all_rows_may_be_anything(self) -> None:
        """Without batches the loss gets what was passed: of any lengths, and no rows at all."""

        def loss(p: Mapping[str, Real], xs: list[float], weights: list[float], name: str) -> Real:
            return math.sum([w * (p["a"] - x) ** 2 for w in weights for x in xs]) + len(name)

        last = fit(loss, START, XS, [0.5], "ab", optimizer=optim.sgd(0.05), steps=80).last()
        assert last.parameters["a"] == pytest.approx(sum(XS) / len(XS), abs=1e-6)

    def test_ints_are_promoted_and_the_start_is_not_changed(self) -> None:
        """Parameters come back as floats, and what was given stays as it was."""
        start = {"a": 1, "b": 0}
        last = fit(mean_error, start, XS, YS, optimizer=optim.sgd(0.1), steps=2).last()
        assert {type(x) for x in last.parameters.values()} == {float}
        assert start == {"a": 1, "b": 0}

    def test_a_branch_that_changes_on_the_way(self) -> None:
        """Comparisons that come out differently from step to step are seen."""

        def loss(p: Mapping[str, Real], goal: float) -> Real:
            return p["x"] - goal if p["x"] > goal else 2.0 * (goal - p["x"])

        found = fit(loss, {"x": 0.35}, 0.0, optimizer=optim.sgd(0.1), steps=60)
        assert told(found) == [
            (value, p) for value, p in _descended(loss, {"x": 0.35}, 0.0, rate=0.1, steps=60)
        ]


def _descended(loss: Any, p: Any, *data: Any, rate: float, steps: int) -> Any:
    for _ in range(steps):
        value, slope = tg.value_and_grad(loss)(p, *data)
        p = {key: p[key] - rate * slope[key] for key in p}
        yield value, p


class Labelled(NamedTuple):
    points: list[tuple[float, float]]
    labels: list[int]


@attrs.frozen
class Quote:
    strike: float
    kind: str


class TestBatches:
    def rows_seen(self, data: Any, **options: Any) -> list[Any]:
        """The data of each step, as the loss was given it."""
        seen: list[Any] = []

        def loss(p: Mapping[str, Real], given: Any) -> Real:
            seen.append(given)
            return p["x"] ** 2

        for _ in fit(loss, {"x": 1.0}, data, optimizer=optim.sgd(0.1), **options):
            pass
        return seen

    def test_an_epoch_has_every_row_once(self) -> None:
        """In batches of the size asked for and a smaller one, in another order each epoch."""
        rows = [f"row {n}" for n in range(10)]
        seen = self.rows_seen(rows, batch_size=4, epochs=3)
        assert [len(batch) for batch in seen] == [4, 4, 2] * 3
        epochs = [[*chain(*seen[n : n + 3])] for n in (0, 3, 6)]
        assert [sorted(epoch) for epoch in epochs] == [sorted(rows)] * 3
        assert len({tuple(epoch) for epoch in epochs}) == 3

    def test_the_seed_decides_the_order(self) -> None:
        """The same seed gives the same batches; not shuffled, they are in order."""
        rows = [f"row {n}" for n in range(10)]
        one, again, other = (
            self.rows_seen(rows, batch_size=4, epochs=2, seed=seed) for seed in (1, 1, 2)
        )
        assert one == again != other
        in_order = self.rows_seen(rows, batch_size=5, steps=3, shuffle=False)
        assert in_order == [rows[:5], rows[5:], rows[:5]]

    @pytest.mark.parametrize(
        ("data", "first"),
        [
            (("a", "b", "c"), ("a", "b")),
            (["a", "b", "c"], ["a", "b"]),
            ((["a", "b", "c"], ["d", "e", "f"]), (["a", "b"], ["d", "e"])),
            ({"s": ["a", "b", "c"], "rate": "same"}, {"s": ["a", "b"], "rate": "same"}),
            (
                Labelled([(0.0, 1.0), (2.0, 3.0), (4.0, 5.0)], [0, 1, 0]),
                Labelled([(0.0, 1.0), (2.0, 3.0)], [0, 1]),
            ),
            ([Quote(1.0, "put"), Quote(2.0, "call"), Quote(3.0, "put")], 2),
        ],
        ids=str,
    )
    def test_rows_of_containers(self, data: Any, first: Any) -> None:
        """A batch is built as the data are, with some of the rows."""
        (batch,) = self.rows_seen(data, batch_size=2, steps=1, shuffle=False)
        assert batch == (data[:2] if first == 2 else first)

    def test_rows_of_arrays(self) -> None:
        """They stand along the first axis; of integers they stay what they are."""
        data = np.arange(6).reshape(3, 2)
        (batch,) = self.rows_seen(data, batch_size=2, steps=1, shuffle=False)
        assert batch.dtype == data.dtype
        assert batch.tolist() == [[0, 1], [2, 3]]

    def test_labels_that_are_ints(self) -> None:
        """The loss of a batch gets Python's ints, and so may use them as indices."""

        def loss(p: list[Real], labels: Sequence[int]) -> Real:
            return math.sum([(p[label] - float(label)) ** 2 for label in labels])

        labels = [0, 1, 2] * 4
        assert not Rows(loss, [labels]).is_traceable()
        assert Rows(loss, [[1.0, 2.0], np.ones((2, 3))]).is_traceable()
        last = fit(
            loss, [5.0, 5.0, 5.0], labels, optimizer=optim.sgd(0.1), epochs=200, batch_size=5
        ).last()
        assert last.parameters == pytest.approx([0.0, 1.0, 2.0], abs=1e-6)

    @pytest.mark.parametrize("size", [None, 5])
    def test_rows_of_every_kind_for_a_loss_of_one(self, size: int | None) -> None:
        """Classes, tuples, numbers and texts of a row reach the loss as rows of a list would."""

        def loss(p: Mapping[str, Real], quote: Quote, point: tuple[float, float], c: float) -> Real:
            sign = 1.0 if quote.kind == "put" else -1.0
            return (p["x"] * quote.strike + sign * point[0] - point[1] * c) ** 2

        quotes = [Quote(1.0 + n / 8.0, ("put", "call")[n % 2]) for n in range(10)]
        points = [(n / 4.0, 1.0) for n in range(10)]
        found = fit(
            loss, {"x": 1.0}, quotes, points, 2.0,
            optimizer=optim.sgd(0.01), epochs=1, batch_size=size, reduce="mean", shuffle=False,
        )  # fmt: skip
        first = next(found)
        rows = zip(quotes[:size], points[:size], strict=True)
        wanted = [loss({"x": 1.0}, quote, point, 2.0) for quote, point in rows]
        assert first.loss == pytest.approx(sum(wanted) / len(wanted), rel=1e-12)


class TestInterrupts:
    def test_a_fit_goes_on_from_a_record(self) -> None:
        """With its parameters and state the rest has the bits of one long run, batches and all."""

        def run(p: Any, **options: Any) -> Any:
            return fit(
                mean_error, p, XS, YS,
                optimizer=optim.adam(optim.cosine(0.1, 20)), batch_size=5, **options,
            )  # fmt: skip

        whole = told(run(START, steps=20))
        half = list(run(START, steps=9))
        reached = pickle.loads(pickle.dumps(half[-1]))  # noqa: S301  # our own bytes
        rest = run(reached.parameters, state=reached.state, steps=11)
        assert told(half) + told(rest) == whole

    def test_an_interrupt_loses_nothing(self) -> None:
        """Iterating again goes on with the step that was interrupted."""
        interrupts = iter([4, 11])
        due = [next(interrupts)]
        calls = [0]

        def loss(p: Mapping[str, Scalar], names: Sequence[str]) -> Scalar:
            calls[0] += 1
            if calls[0] == due[0]:
                due[0] = next(interrupts, 0)
                raise KeyboardInterrupt
            return p["x"] ** 2 * len(names)

        names = [f"{n}" for n in range(6)]
        options: Any = {"optimizer": optim.adam(0.1), "steps": 15, "batch_size": 4}
        found: list[Any] = []
        fitting = fit(loss, {"x": 1.0}, names, **options)
        for _ in range(3):
            try:
                for step in fitting:
                    found.append((step.step, step.loss))  # noqa: PERF401  # kept where it stops
            except KeyboardInterrupt:
                continue
        whole = fit(loss, {"x": 1.0}, names, **options)
        assert found == [(step.step, step.loss) for step in whole]

    def test_it_is_an_iterator(self) -> None:
        """Steps may be taken one by one, in loops that break, and to the end."""
        fitting = fit(mean_error, START, XS, YS, optimizer=optim.sgd(0.1), steps=6)
        assert next(fitting).step == 1
        for step in fitting:
            if step.step == 3:
                break
        assert repr(fitting) == "<fit, 3 of 6 steps>"
        assert fitting.last().step == 6
        assert list(fitting) == []

        def call() -> None:
            fitting.last()

        assert refusal(InputError, call) == (
            f"no step is left of this fit ({place(call, 'last')}): call fit again"
        )


class TestProgress:
    def test_a_line_on_a_terminal_alone(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """It counts steps, is cleared at the end, and is not shown where it is not wanted."""
        monkeypatch.setattr("tapegrad._support.progress_bar._DELAY", 0.0)
        monkeypatch.setattr("tapegrad._support.progress_bar._INTERVAL", 0.0)
        options: Any = {"optimizer": optim.sgd(0.1), "steps": 3}
        fit(mean_error, START, XS, YS, **options).last()
        assert capsys.readouterr().err == ""
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        fit(mean_error, START, XS, YS, progress=False, **options).last()
        assert capsys.readouterr().err == ""
        fit(mean_error, START, XS, YS, **options).last()
        shown = capsys.readouterr().err
        assert "fitting [" in shown
        assert "2 of 3" in shown
        assert shown.endswith("\x1b[K")


def exploding(p: Mapping[str, Real], goal: float) -> Real:
    return math.exp(p["x"] ** 2 * goal)


def rooted(p: list[Real], xs: Sequence[float]) -> Real:
    return math.sqrt(p[0]) + p[1] * xs[0]


def logarithm(p: Mapping[str, Real], x: float) -> Real:
    return math.log(p["w"] * x)


class TestDivergence:
    def test_a_loss_that_is_not_finite(self) -> None:
        """The step, the value, and the entry of the model with its line are named."""
        fitting = fit(exploding, {"x": 1.0}, 1.0, optimizer=optim.sgd(40.0), steps=9)
        assert next(fitting).step == 1

        def call() -> None:
            while True:
                next(fitting)

        text = refusal(ConvergenceError, call)
        assert text.startswith(
            f"fit of exploding stops at step 2 ({place(call, 'next')}), where the loss is inf: the "
            "first value that is not finite is inf: "
        )
        assert text.endswith(
            f", {place(exploding, 'return')}. Lower the rate, or clip gradients with optim.clipped."
        )

    def test_a_loss_whose_slope_is_finite(self) -> None:
        """An infinite loss ends the fit, too."""

        def shifted(p: Mapping[str, Real], by: float) -> Real:
            return p["x"] + by

        with pytest.raises(ConvergenceError, match="where the loss is inf"):
            fit(shifted, {"x": 1.0}, standard.inf, optimizer=optim.sgd(0.1), steps=5).last()

    def test_a_slope_that_is_not_finite(self) -> None:
        """The parameter and the line are named; at the first step the start is to blame."""

        def call() -> None:
            fit(rooted, [0.0, 1.0], [2.0], optimizer=optim.sgd(0.1), steps=5).last()

        assert refusal(ConvergenceError, call) == (
            f"fit of rooted stops at step 1 ({place(call, 'fit(')}), where the loss is 2.0 and its "
            "slope in p[0] is inf: the first cotangent that is not finite is inf, that of p[0]: "
            "%3 = sqrt(p[0] = 0.0) = 0.0 hands on 1.0 * inf, "
            f"{place(rooted, 'return')}. Look at the data and the parameters that it starts from."
        )

    def test_a_row_that_is_not_finite(self) -> None:
        """Of a loss of one row, the row is named too."""

        def call() -> None:
            xs = [1.0, 2.0, -3.0, 4.0]
            fit(logarithm, {"w": 1.0}, xs, optimizer=optim.sgd(0.1), steps=5, reduce="mean").last()

        text = refusal(ConvergenceError, call)
        assert "where the loss is nan: in row 2 of its batch the first value that is not" in text
        assert place(logarithm, "return") in text

    def test_a_row_that_is_finite_after_all_is_passed_over(self) -> None:
        """An infinity in the arm of a choice that is not taken is no cause."""

        def chosen(p: Mapping[str, Real], x: float) -> Real:
            grown = math.exp(p["w"] * x)
            return tg.where(grown > 9.0, p["w"], math.log(p["w"] + x))

        with pytest.raises(ConvergenceError, match=r"in row 1 of its batch .* = log\("):
            fit(
                chosen, {"w": 1.0}, [1000.0, -5.0],
                optimizer=optim.sgd(0.1), steps=1, reduce="sum",
            ).last()  # fmt: skip

    def test_an_element_of_an_array(self) -> None:
        """An array's element is named by its place."""

        def loss(p: Any, xs: Any) -> Any:
            return math.sqrt(p["w"])[1] + p["w"][0]

        with pytest.raises(ConvergenceError, match=r"its slope in w\[1\] is inf"):
            fit(loss, {"w": np.array([1.0, 0.0])}, 1.0, optimizer=optim.sgd(0.1), steps=1).last()


class TestRefusals:
    @pytest.mark.parametrize(
        ("call", "said"),
        [
            ("steps=0", "steps is 0 (HERE): pass 1 or more"),
            ("epochs=0", "epochs is 0 (HERE): pass 1 or more"),
            ("", "fit (HERE) was given neither steps nor epochs: pass one of them"),
            ("steps=1, epochs=1", "fit (HERE) was given both steps and epochs: pass one of them"),
            ("steps=2.5", "steps is a float (2.5) (HERE): pass a whole number, 1 or more"),
            ("steps=1, every=0", "every is 0 (HERE): pass 1 or more"),
            ("steps=1, batch_size=0", "batch_size is 0 (HERE): pass 1 or more"),
            (
                "steps=1, batch_size=17",
                "batch_size is 17 and there are 16 rows (HERE): pass at most that many",
            ),
            (
                "steps=1, reduce='max'",
                "reduce='max' (HERE) is unknown: use \"mean\" or \"sum\"",
            ),
        ],
    )  # fmt: skip
    def test_options(self, call: str, said: str) -> None:
        """One sentence: what is wrong, the value, where, and what to do."""

        def run() -> None:
            source = f"fit(mean_error, START, XS, YS, optimizer=optim.adam(), {call})"
            eval(source, globals())  # noqa: S307  # the calls above

        assert refusal(InputError, run) == said.replace("HERE", "<string>:1")

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            ((XS, YS[:5]), "xs has 16 rows and ys 5 (HERE): pass data of one length"),
            (([], []), "xs has no rows (HERE): pass one or more"),
            (
                ({"x": XS, "w": YS[:5]}, YS),
                "xs:x has 16 rows and xs:w 5 (HERE): pass data of one length",
            ),
            (
                (1.0, 2.0),
                "batch_size=4 (HERE) and no data have rows: pass lists or arrays " + AFTER,
            ),
        ],
    )
    def test_data(self, data: Any, said: str) -> None:
        """Data of unequal lengths, and without rows."""

        def call() -> None:
            fit(mean_error, START, *data, optimizer=optim.adam(), steps=1, batch_size=4)

        assert refusal(InputError, call) == said.replace("HERE", place(call, "fit("))

    def test_an_optimiser_that_is_none(self) -> None:
        """The function that makes one is not one."""

        def call() -> None:
            untyped_fit(mean_error, START, XS, YS, optimizer=optim.adam, steps=1)

        text = refusal(InputError, call)
        assert text.startswith("optimizer is a function")
        assert text.endswith(f"({place(call, 'fit(')}): pass one, as optim.adam(0.01) makes it")

    def test_a_metric_that_is_no_number(self) -> None:
        """It is named."""

        def call() -> None:
            told = {"p": lambda p: p}
            untyped_fit(
                mean_error,
                {"a": 1.0, "b": 2.0},
                XS,
                YS,
                optimizer=optim.adam(),
                steps=1,
                metrics=told,
            ).last()

        text = refusal(OutputError, call)
        assert text.startswith("the metric p is a dict (")
        assert text.endswith("): return a number from its function")

    def test_rows_that_are_missing(self) -> None:
        """A loss of one row needs some."""

        def call() -> None:
            fit(error, START, 1.0, 2.0, optimizer=optim.adam(), steps=1, reduce="mean")

        assert refusal(InputError, call) == (
            f"reduce='mean' ({place(call, 'fit(')}) and no data have rows: pass lists or arrays "
            "after the parameters"
        )

    def test_frames(self) -> None:
        """A frame is refused where rows are taken, with the way out."""
        pd = pytest.importorskip("pandas")

        def call() -> None:
            frame = pd.DataFrame({"x": [1.0, 2.0]})
            fit(untyped, START, frame, optimizer=optim.adam(), steps=1, batch_size=1)

        with pytest.raises(InputError, match=r"pass its to_numpy\(\), or its columns as a dict"):
            call()

    def test_a_fit_inside_a_recording(self) -> None:
        """Traced parameters are refused, with the way out."""

        def tuned(start: Scalar) -> Any:
            found = untyped_fit(untyped, {"a": start}, XS, YS, optimizer=optim.adam(), steps=1)
            return found.last().parameters["a"]

        text = refusal(TracedNumberError, lambda: untyped_grad(tuned)(1.0))
        assert text == (
            f"fit ({place(tuned, 'fit(')}) was given a traced number, and takes plain ones: to "
            "differentiate through a fit, call the optimiser's update in a loop"
        )

    def test_a_state_of_other_parameters(self) -> None:
        """The state must be that of parameters like these."""
        other: Any = optim.adam().init([1.0])
        with pytest.raises(InputError, match="the parameters of init"):
            fit(untyped, START, XS, YS, optimizer=optim.adam(), steps=1, state=other).last()


def test_without_numpy() -> None:
    """Models of plain numbers are fitted without it, by batches and by rows."""
    script = (
        "import sys; sys.modules['numpy'] = None\n"
        "from tapegrad.learn import fit, optim\n"
        "def error(p, x, y): return (p['a'] * x + p['b'] - y) ** 2\n"
        "xs = [n / 8.0 for n in range(16)]; ys = [2.0 * x + 1.0 for x in xs]\n"
        "last = fit(error, {'a': 0.5, 'b': 0.0}, xs, ys, optimizer=optim.sgd(0.1), epochs=60, "
        "batch_size=8, reduce='mean').last()\n"
        "print(round(last.parameters['a'], 6), round(last.parameters['b'], 6))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    last: Step[dict[str, float]] = fit(
        error, START, XS, YS, optimizer=optim.sgd(0.1), epochs=60, batch_size=8, reduce="mean"
    ).last()
    assert run.stdout == f"{last.parameters['a']:.6f} {last.parameters['b']:.6f}\n"

"""Columns of anything but floats: ints and bools are guarded, other values group the rows."""

from __future__ import annotations

import datetime
import enum
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import Real, errors, math
from tests.fuzz.roads import frozen
from tests.places import place


class Side(enum.Enum):
    CALL = 1
    PUT = 2


class Grade(enum.IntEnum):
    A = 1
    B = 2


LABELS: dict[str, Sequence[Any]] = {
    "text": ["call", "put", "call", "put", "call"],
    "bytes": [b"a", b"b", b"a", b"a", b"b"],
    "enums": [Side.CALL, Side.PUT, Side.PUT, Side.CALL, Side.CALL],
    "enums of ints": [Grade.A, Grade.B, Grade.B, Grade.A, Grade.A],
    "dates": [datetime.date(2030, 1, 1 + day % 2) for day in range(5)],
    "times": list(np.array(["2030-01-01", "2030-01-02", "NaT", "2030", "2030"], "M8[ns]")),
    "None and numbers": [None, 2.0, None, 3.0, 0.5],
    "numbers and text": [1.0, "none", 2.0, "none", 4.0],
    "None and bools": [True, None, False, True, None],
}
STRIKES = [90.0, 110.0, 95.0, 105.0, 100.0]


def number(label: Any) -> Any:
    """Something that depends on the label and on its type."""
    if isinstance(label, float | int | tg.Var) and not isinstance(label, enum.Enum):
        return 0.5 * label
    return {"call": 1.0, "none": -2.0, b"a": 3.0, Side.PUT: 4.0, None: 5.0}.get(label, 6.0)


def price(spot: Any, row: Any) -> Any:
    return number(row["label"]) * math.sin(spot - row["strike"]) + row["strike"] * spot


def _squared(miss: Callable[..., Any]) -> Callable[..., Any]:
    return lambda p, row: miss(p, row) ** 2


def rows_of(labels: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {"strike": strike, "label": label} for strike, label in zip(STRIKES, labels, strict=True)
    ]


def as_objects(labels: Sequence[Any]) -> Any:
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array


class TestLabels:
    @pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
    @pytest.mark.parametrize("column", [list, tuple, as_objects])
    @pytest.mark.parametrize("backend", ["numpy", "llvm"])
    def test_each_row_gets_its_own(
        self, labels: Sequence[Any], column: Callable[[Any], Any], backend: Any
    ) -> None:
        """A row's value and slope are those of the function called for it."""
        book = {"strike": np.array(STRIKES), "label": column(labels)}
        run = tg.vmap(tg.value_and_grad(price), in_axes=(None, 0), backend=backend)
        for _ in range(2):
            values, slopes = run(100.0, book)
            for row, one in enumerate(rows_of(labels)):
                value, slope = tg.value_and_grad(price)(100.0, one)
                assert values[row] == pytest.approx(value, rel=1e-14)
                assert slopes.row(row) == pytest.approx(slope, rel=1e-14)

    @pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
    def test_sums_and_means(self, labels: Sequence[Any]) -> None:
        """They are those of all rows, with the same bits for any number of threads."""
        book = {"strike": np.array(STRIKES), "label": labels}
        each = [price(100.0, one) for one in rows_of(labels)]
        sums = {
            tg.vmap(price, in_axes=(None, 0), reduce="sum", threads=threads)(100.0, book)
            for threads in (1, 2)
        }
        assert len(sums) == 1
        assert sums.pop() == pytest.approx(sum(each), rel=1e-13)
        found = tg.vmap(price, in_axes=(None, 0), reduce="mean", stderr=True)(100.0, book)
        assert found.mean == pytest.approx(np.mean(each), rel=1e-13)
        assert found.stderr == pytest.approx(np.std(each, ddof=1) / 5**0.5, rel=1e-12)
        assert found.rows == 5

    def test_arrays_of_text(self) -> None:
        """numpy's arrays of text and of datetimes are columns as lists are."""
        labels = np.array(LABELS["text"])
        found = tg.vmap(price, in_axes=(None, 0))(
            100.0, {"strike": np.array(STRIKES), "label": labels}
        )
        right = [price(100.0, one) for one in rows_of(LABELS["text"])]
        assert found.tolist() == pytest.approx(right, rel=1e-14)
        when = np.array(["2030-01-01", "2031-01-01"], "M8[D]")
        late = tg.vmap(lambda x, t: x if t > np.datetime64("2030-06-01") else 0.0 * x)
        assert late(np.array([1.0, 2.0]), when).tolist() == [0.0, 2.0]
        for unit in ("D", "ns"):
            lasts = np.array([1, 2, 1]).astype(f"m8[{unit}]")
            longer = tg.vmap(lambda x, t: x if t > np.timedelta64(1, unit) else 0.0 * x)  # noqa: B023  # called at once
            assert longer(np.array([1.0, 2.0, 3.0]), lasts).tolist() == [0.0, 2.0, 0.0]

    def test_a_group_is_recorded_once(self) -> None:
        """There are as many recordings as combinations, and later calls add none."""
        calls: list[object] = []

        def counted(x: Any, label: str) -> Any:
            calls.append(label)
            return x * len(label)

        run = tg.vmap(counted)
        labels = ["a", "bb", "a", "bb", "ccc"] * 100
        xs = np.arange(500.0)
        right = [x * len(label) for x, label in zip(xs, labels, strict=True)]
        for _ in range(3):
            assert run(xs, labels).tolist() == right
        assert len(run.tapes) == 3
        assert len(calls) <= 6

    def test_residuals_and_objectives(self) -> None:
        """They group rows as well, and keep copies of the columns."""
        data: dict[str, Any] = {"strike": np.array(STRIKES), "label": list(LABELS["text"])}

        def miss(p: Any, row: Any) -> Any:
            return p * row["strike"] if row["label"] == "call" else -p * row["strike"]

        found = tg.residuals(miss, 2.0, data)
        total = tg.objective(_squared(miss), 2.0, data, reduce="sum")
        data["label"][0] = "put"
        assert found.fun(found.x0).tolist() == [180.0, -220.0, 190.0, -210.0, 200.0]
        jacobian: Any = found.jac(found.x0)
        assert jacobian.tolist() == [[90.0], [-110.0], [95.0], [-105.0], [100.0]]
        assert total.fun(total.x0) == sum((2.0 * strike) ** 2 for strike in STRIKES)

    def test_progress_comes_after_each_group(self) -> None:
        """A callback sees the rows so far, and may end the batch."""
        seen: list[int] = []

        def stop(progress: Any) -> bool:
            seen.append(progress.rows)
            return len(seen) == 2

        run = tg.vmap(lambda x, s: x, reduce="sum", callback=stop)
        assert run(np.array([1.0, 2.0, 4.0, 8.0]), ["a", "b", "a", "c"]) == 7.0
        assert seen == [2, 3]

    def test_rows_that_return_something_else(self) -> None:
        """Groups that return other structures are refused, and the group is named."""

        def call() -> object:
            return tg.vmap(lambda x, s: x if s == "a" else [x, x])(np.ones(2), ["a", "b"])

        with pytest.raises(errors.OutputError) as caught:
            call()
        assert str(caught.value) == (
            f"rows of <lambda> ({place(call, 'tg.vmap')}) with s='b' return another structure "
            "than those before: return the same containers for all rows"
        )
        assert caught.value.__notes__ == ["the batch is of the rows with s='b'"]

    def test_iterators_have_no_groups(self) -> None:
        """Their rows are not there yet."""

        def call() -> object:
            return tg.vmap(lambda x, s: x)(iter([np.ones(2)]), ["a", "b"])

        with pytest.raises(errors.InputError) as caught:
            call()
        assert str(caught.value) == (
            f"x is an iterator beside a column of text, dates, enums or None "
            f"({place(call, 'tg.vmap')}): pass arrays, whose rows can be grouped"
        )

    @settings(max_examples=30)
    @given(
        st.lists(
            st.tuples(st.sampled_from(["a", "b", None, Side.PUT]), st.floats(-9, 9)), min_size=1
        )
    )
    def test_any_labels_in_any_order(self, rows: list[tuple[Any, float]]) -> None:
        """The answer of a batch is the list of its rows' answers, to the bit."""

        def model(x: Any, label: Any) -> Any:
            scale = {"a": 1.0, "b": 0.5, None: -2.0, Side.PUT: 4.0}[label]
            return x * scale + 1.0 if x > 0.0 else x - scale

        labels, xs = [label for label, _ in rows], np.array([x for _, x in rows])
        found = tg.vmap(model)(xs, as_objects(labels)).tolist()
        assert frozen(found) == frozen([model(x, label) for label, x in rows])


@attrs.frozen
class Bond(Generic[Real]):
    coupon: Real
    years: int
    name: str = "bond"


@dataclass(frozen=True)
class Plain:
    strike: float
    years: int


def present_value(rate: Any, bond: Any) -> Any:
    return math.sum([bond.coupon / (1.0 + rate) ** k for k in range(1, bond.years + 1)])


class TestNumbers:
    def test_ints_count_and_index(self) -> None:
        """An int column is used in `range` and as an index, as in the eager call."""
        groups, ys = np.array([0, 1, 2, 1, 0, 2]), np.array([1.0, 2.0, 3.0, 2.2, 1.2, 2.8])

        def effect(p: Any, group: Any, y: Any) -> Any:
            return (p["mu"] + p["u"][group] - y) ** 2

        start = {"mu": 0.1, "u": [0.5, 1.0, 1.5]}
        found = tg.objective(effect, start, groups, ys, reduce="sum")
        each = [
            tg.value_and_grad(effect)(start, int(g), float(y))
            for g, y in zip(groups, ys, strict=True)
        ]
        assert found.fun(found.x0) == pytest.approx(sum(one.value for one in each), rel=1e-14)
        slopes = [sum(one.grad["u"][k] for one in each) for k in range(3)]
        assert found.jac(found.x0).tolist()[1:] == pytest.approx(slopes, rel=1e-14)

    @pytest.mark.parametrize("flags", [np.array([True, False, True]), [True, False, True]])
    def test_bools_decide(self, flags: Any) -> None:
        """A bool column is asked in an `if`."""
        run = tg.vmap(lambda x, flag: x * 2.0 if flag else -x)
        assert run(np.array([1.0, 2.0, 3.0]), flags).tolist() == [2.0, -2.0, 6.0]

    @pytest.mark.parametrize("years", [3, np.array([3, 4]), [3, 4]])
    @pytest.mark.parametrize("name", ["bond", ["x", "y"]])
    def test_fields_that_are_not_real(self, years: Any, name: Any) -> None:
        """An int in such a field is the same for all rows; a column has one for each."""
        book: Any = Bond(np.array([1.0, 2.0]), years, name)
        each = years if isinstance(years, list) else np.broadcast_to(years, 2).tolist()
        right = [present_value(0.05, Bond(c, n)) for c, n in zip([1.0, 2.0], each, strict=True)]
        found = tg.vmap(present_value, in_axes=(None, 0))(0.05, book)
        assert found.tolist() == pytest.approx(right, rel=1e-14)

    def test_classes_without_real(self) -> None:
        """Fields annotated float and int hold columns, too."""
        strikes: Any = np.array([90.0, 110.0])
        years: Any = np.array([1, 2])
        book = Plain(strikes, years)
        found = tg.vmap(lambda s, o: s * o.strike**o.years, in_axes=(None, 0))(2.0, book)
        assert found.tolist() == pytest.approx([180.0, 24200.0], rel=1e-14)

    def test_empty_containers(self) -> None:
        """A container without parts is no column of no rows."""
        book = {"x": np.array([1.0, 2.0]), "more": (), "deep": [[], {}]}
        found = tg.vmap(lambda row: row["x"] + len(row["more"]) + len(row["deep"]))(book)
        assert found.tolist() == [3.0, 4.0]

    def test_rows_that_are_not_recorded_get_ints(self) -> None:
        """Rows on rare paths are called as they are, with the int that the column has."""
        table = [0.5 * k for k in range(300)]
        calls: list[type] = []

        def look_up(index: Any, x: Any) -> Any:
            calls.append(type(index))
            return table[index] * x + index

        run = tg.vmap(look_up)
        xs = np.linspace(1.0, 2.0, 300)
        right = [table[k] * x + k for k, x in enumerate(xs.tolist())]
        for _ in range(2):
            assert frozen(run(np.arange(300), xs).tolist()) == frozen(right)
        assert calls.count(int) > 100
        assert float not in calls

    def test_ints_that_no_float_holds(self) -> None:
        """An int beyond 2**53 would be rounded: it is refused."""

        def call() -> object:
            return tg.vmap(lambda x: x)(np.array([2**53 + 1]))

        with pytest.raises(errors.InputError) as caught:
            call()
        assert str(caught.value) == (
            f"a mapped column holds the int 9007199254740993 ({place(call, 'tg.vmap')}), which no "
            "float64 holds: pass such numbers as text, or smaller ones"
        )


def test_data_that_are_missing() -> None:
    """With `check_finite=False` nan reaches the model, in columns and in constants."""

    def miss(p: Any, t: Any, y: Any) -> Any:
        return tg.where(math.isnan(y), 0.0 * p, p * t - y)

    nan = float("nan")
    ts, ys = np.array([1.0, 2.0, 3.0]), np.array([1.0, nan, 1.0])
    found = tg.residuals(miss, 2.0, ts, ys, check_finite=False)
    assert found.fun(found.x0).tolist() == [1.0, 0.0, 5.0]
    jacobian: Any = found.jac(found.x0)
    assert jacobian.tolist() == [[1.0], [0.0], [3.0]]

    def loss(p: Any, ys: Any) -> Any:
        return math.sum([tg.where(math.isnan(y), 0.0 * p, (p - y) ** 2) for y in ys])

    whole = tg.objective(loss, 2.0, [1.0, nan, 0.0], check_finite=False)
    assert whole.fun(whole.x0) == 5.0
    assert whole.jac(whole.x0).tolist() == [6.0]


def test_groups_travel() -> None:
    """A pickled batched function runs the groups that it knows."""
    run = tg.vmap(price, in_axes=(None, 0))
    book = {"strike": np.array(STRIKES), "label": LABELS["text"]}
    right = run(100.0, book).tolist()
    assert pickle.loads(pickle.dumps(run))(100.0, book).tolist() == right  # noqa: S301  # our own

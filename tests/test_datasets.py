"""Small data sets and columns of files: where the points lie, seeds, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import cos, hypot, pi, sin
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tapegrad.errors import InputError
from tapegrad.learn import data
from tapegrad.learn.data import Labelled

MAKERS: dict[str, Callable[..., Labelled]] = {
    "moons": data.moons,
    "circles": data.circles,
    "spirals": data.spirals,
    "blobs": data.blobs,
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_data_set_has_its_classes_by_turns_and_its_seed(name: str) -> None:
    """As many points as asked for; the same seed gives the same ones, and noise moves them."""
    make = MAKERS[name]
    for count in (1, 2, 7, 100):
        points, labels = make(count, seed=3)
        classes = 3 if name == "blobs" else 2
        assert len(points) == count
        assert labels == [index % classes for index in range(count)]
    assert make(50, seed=3) == make(50, seed=3)
    assert make(50, seed=3) != make(50, seed=4)
    still, moved = (np.array(make(2000, noise=noise).points) for noise in (0.0, 0.25))
    assert (moved - still).std() == pytest.approx(0.25, rel=0.05)


def test_points_lie_on_their_curves() -> None:
    """Without noise each has the distance from its centre that its curve says."""
    for (x, y), label in zip(*data.moons(50, noise=0.0), strict=True):
        assert hypot(x - label, y - 0.5 * label) == pytest.approx(1.0)
        assert y >= -1e-12 if label == 0 else y <= 0.5 + 1e-12
    for (x, y), label in zip(*data.circles(51, noise=0.0, inner=0.3), strict=True):
        assert hypot(x, y) == pytest.approx(0.3 if label else 1.0)
    for (x, y), label in zip(*data.blobs(20, noise=0.0, classes=4), strict=True):
        assert (x, y) == pytest.approx([(1, 0), (0, 1), (-1, 0), (0, -1)][label], abs=1e-15)
    arms = data.spirals(90, noise=0.0, classes=3)
    second = [point for point, label in zip(*arms, strict=True) if label == 1]
    assert [hypot(x, y) for x, y in second] == pytest.approx([(at + 1) / 30 for at in range(30)])
    assert second[14] == pytest.approx((0.5 * cos(5 * pi / 3), 0.5 * sin(5 * pi / 3)))


def test_labels_as_signs_and_everything_as_arrays() -> None:
    """The forms that losses take: -1 and 1 for hinge, arrays of points and of whole labels."""
    found = data.moons(4)
    assert found.signs() == [-1.0, 1.0, -1.0, 1.0]
    points, labels = found.arrays()
    assert (str(points.dtype), str(labels.dtype)) == ("float64", "int64")
    assert points.tolist() == [list(point) for point in found.points]
    assert labels.tolist() == found.labels


def test_the_four_examples_are_those_of_the_lecture() -> None:
    """Four rows of three numbers, two to be positive and two negative."""
    xs, ys = data.four_examples()
    assert xs == [(2.0, 3.0, -1.0), (3.0, -1.0, 0.5), (0.5, 1.0, 1.0), (1.0, 1.0, -1.0)]
    assert ys == [1.0, -1.0, -1.0, 1.0]


CSV = "\ufeffname,age,dose\nAda,36,0.5\n\nBob,41,1e-3\n"


def test_columns_have_the_types_that_are_asked_for(tmp_path: Path) -> None:
    """Floats where nothing is said, else what a function makes of each cell; empty lines go."""
    file = tmp_path / "people.csv"
    file.write_text(CSV, encoding="utf-8")
    assert data.read_csv(file, ["dose", "age"]) == {"dose": [0.5, 1e-3], "age": [36.0, 41.0]}
    assert data.read_csv(str(file), ["age"], int) == {"age": [36, 41]}
    assert data.read_csv(file, ["name"], str) == {"name": ["Ada", "Bob"]}
    file.write_text("a;b\n1,5;2\n", encoding="utf-8")
    comma = data.read_csv(file, ["a"], lambda cell: float(cell.replace(",", ".")), delimiter=";")
    assert comma == {"a": [1.5]}
    columns = data.read_csv(file, ["b", "b"], float, delimiter=";")
    assert data.matrix({**columns, "one": [1.0]}).tolist() == [[2.0, 1.0]]


wrong: Any = 2.5


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: data.moons(0), "count is 0 AT: pass 1 or more"),
        (lambda: data.moons(True), "count is a bool (True) AT: pass a whole number, 1 or more"),
        (lambda: data.blobs(wrong), "count is a float (2.5) AT: pass a whole number, 1 or more"),
        (
            lambda: data.spirals(9, classes=0),
            "classes is 0 AT: pass 1 or more",
        ),
        (
            lambda: data.circles(9, noise=-0.5),
            "noise is a float (-0.5) AT: pass a finite number 0 or more",
        ),
        (
            lambda: data.moons(9, noise=float("nan")),
            "noise is a float (nan) AT: pass a finite number 0 or more",
        ),
        (
            lambda: data.blobs(9).signs(),
            "signs AT met the label 2: only the labels 0 and 1 have signs",
        ),
        (
            lambda: data.matrix({"a": [1.0], "b": [1.0, 2.0]}),
            (
                "matrix AT was given columns of the lengths {'a': 1, 'b': 2}: pass one column or "
                "more, of one length"
            ),
        ),
        (
            lambda: data.read_csv("none.csv", "age"),
            "columns is the text 'age' AT: pass a list of names",
        ),
    ],
)
def test_bad_input_is_told_in_a_sentence(call: Callable[[], object], text: str) -> None:
    """It names the argument, its value and the line."""
    with pytest.raises(InputError) as told:
        call()
    line = call.__code__.co_firstlineno
    assert str(told.value) == text.replace("AT", f"(test_datasets.py:{line})", 1)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("age\n36\n", "people.csv has the column 'dose' not AT: its first line names 'age'"),
        ("", "people.csv has the column 'dose' not AT: its first line names nothing"),
        (
            "dose,dose\n1,2\n",
            (
                "people.csv has the column 'dose' more than once AT: its first line names 'dose', "
                "'dose'"
            ),
        ),
        (
            "dose,age\n1,2\n3\n",
            (
                "line 3 of people.csv has 1 cells, and the first has 2 AT: mend the line, or name "
                "the delimiter"
            ),
        ),
        (
            "dose\n1\nmuch\n",
            (
                "line 3 of people.csv has 'much' in the column 'dose', which is no float AT: mend "
                "the cell, or pass a function that takes it"
            ),
        ),
    ],
)
def test_a_bad_file_is_told_in_a_sentence(tmp_path: Path, content: str, text: str) -> None:
    """It names the file, the line in it and the column."""
    file = tmp_path / "people.csv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as told:
        data.read_csv(file, ["dose"])
    assert re.sub(r"test_datasets.py:\d+", "AT", str(told.value)) == text.replace("AT", "(AT)")

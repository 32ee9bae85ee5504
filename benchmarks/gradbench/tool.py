"""The protocol: a message comes in, a response goes out.

An eval is a module with ``FUNCTIONS``: for each name a function that takes the input of a message
and prepares a *run*, which computes the output. What prepares a run reads the input and makes
arrays of it; all that depends on what is differentiated is done in the run, whose times are
reported.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from time import perf_counter, perf_counter_ns
from types import ModuleType
from typing import Any, TypeAlias

__all__ = ["EVALS", "Prepare", "Run", "responses"]

Run: TypeAlias = Callable[[], object]
"""Computes an output: numbers, arrays, and lists and dicts of them."""

Prepare: TypeAlias = Callable[[Mapping[str, Any]], Run]

EVALS = (
    "hello", "det", "lse", "llsq", "ode", "saddle", "particle", "kmeans", "gmm", "ba", "lstm", "ht",
)  # fmt: skip


def responses(lines: Iterator[str]) -> Iterator[str]:
    """The response to each message, both as lines of JSON."""
    for line in lines:
        if line.strip():
            yield json.dumps(_response(json.loads(line)), default=_plain)


def _response(message: Mapping[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"id": message["id"]}
    if message["kind"] == "start":
        return answer | {"tool": "tapegrad"}
    if message["kind"] == "define":
        return answer | {"success": message["module"] in EVALS}
    if message["kind"] != "evaluate":
        return answer
    try:
        return answer | {"success": True} | _evaluated(message)
    except Exception:  # noqa: BLE001  # the suite goes on with the next message
        return answer | {"success": False, "error": traceback.format_exc()}


def _evaluated(message: Mapping[str, Any]) -> dict[str, Any]:
    """The output of a function, and the times of its runs."""
    given = message["input"]
    limits = given if isinstance(given, Mapping) else {}
    started = perf_counter_ns()
    prepare: Prepare = _eval(message["module"]).FUNCTIONS[message["function"]]
    run = prepare(given)
    timings = [{"name": "prepare", "nanoseconds": perf_counter_ns() - started}]
    output, first = None, perf_counter()
    while True:
        started = perf_counter_ns()
        output = run()
        timings.append({"name": "evaluate", "nanoseconds": perf_counter_ns() - started})
        is_enough = len(timings) > limits.get("min_runs", 1)
        if is_enough and perf_counter() - first >= limits.get("min_seconds", 0.0):
            return {"output": output, "timings": timings}


def _eval(name: str) -> ModuleType:
    return import_module(f"benchmarks.gradbench.{name}")


def _plain(value: Any) -> Any:
    """An array, or a number of numpy's, as JSON has it."""
    return value.tolist()

"""Fingerprints of what decides the bits of compiled code, so that only like machines add sums."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from functools import cache
from typing import TypeAlias

import numpy as np

from tapegrad._support.version import VERSION
from tapegrad.compile.backends.registry import BACKENDS

__all__ = ["Fingerprint", "difference", "fingerprint"]

Fingerprint: TypeAlias = Mapping[str, str]


@cache
def fingerprint(backend: str) -> Fingerprint:
    """The versions, the maths library and the instructions that a backend's bits depend on."""
    own: Fingerprint = {
        "tapegrad": VERSION,
        "Python": ".".join(map(str, sys.version_info[:2])),
        "numpy": np.__version__,
        "C library": " ".join(platform.libc_ver()).strip() or platform.platform(),
        "processor": platform.machine(),
    }
    return {**own, **BACKENDS[backend].fingerprint()}


def difference(one: Fingerprint, other: Fingerprint) -> str | None:
    """The first difference between two fingerprints, in words; None where they are the same."""
    for what in {**one, **other}:
        left, right = one.get(what, "none"), other.get(what, "none")
        if left != right:
            return f"{what} {_short(left, right)} against {_short(right, left)}"
    return None


def _short(text: str, other: str) -> str:
    """The entries of a list that the other lacks; a single word as it is."""
    if "," not in text:
        return text
    alone = sorted(set(text.split(",")) - set(other.split(",")))
    return ",".join(alone[:4]) or "none more"

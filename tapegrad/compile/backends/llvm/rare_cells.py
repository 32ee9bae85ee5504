"""The functions of what is rarely needed, which are compiled when code first asks for one.

Code that calls such a function reads its address from a cell of its own module. Where that is empty
the code leaves, or marks the rows that need it, and runs again once the cells have been filled.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Final, Protocol, final

__all__ = ["ASKED", "CELL_ASKED", "RareCells"]

ASKED: Final = -4
"""The number that code returns, or marks a row with, where it lacks such a function."""

CELL_ASKED: Final = "rare_asked"
"""The name of a number that is not 0 once code for rows has asked for such a function."""


class RareCode(Protocol):
    """The machine code of a function of what is rarely needed."""

    def address(self, name: str) -> int:
        """The address of a function."""


@final
class RareCells:
    """The cells of a module: ``compilers`` make the functions, by the names of their cells."""

    are_filled: bool

    def __init__(
        self, compilers: Mapping[str, Callable[[], RareCode]], address_of: Callable[[str], int]
    ) -> None:
        self._compilers = compilers
        self._cells = {name: ctypes.c_void_p.from_address(address_of(name)) for name in compilers}
        self._asked = ctypes.c_int64.from_address(address_of(CELL_ASKED)) if compilers else None
        self._code: list[RareCode] = []
        self.are_filled = not compilers

    @property
    def asked(self) -> bool:
        """Whether code for rows has asked for a function; once it has, this stays so."""
        return self._asked is not None and self._asked.value != 0

    def fill(self) -> None:
        """Compiles the functions, and lets the cells point to them; several threads may."""
        found = {name: compiled() for name, compiled in self._compilers.items()}
        self._code += found.values()
        for name, code in found.items():
            self._cells[name].value = code.address("rare")
        self.are_filled = True

"""The version of this library, which is known without its being installed."""

from typing import Final

__all__ = ["VERSION"]

VERSION: Final = "0.1.0"

# The Python package `llvmlite` 0.46 and later, which ships no types: what is used of it.

__version__: str

"""Functions to functions: ``grad`` and all else that takes a function and differentiates it.

May import: ``tape`` and what is left of it.
Start reading: ``traced_call`` (one recorded call, which all transforms share), then ``grad``.
To add a transform: a module with one public function, and its name in ``tapegrad/__init__.py``.
"""

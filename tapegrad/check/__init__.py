"""Derivatives checked against differences, and the modes against each other.

May import: ``transforms`` and what is left of it.
Start reading: ``gradient``, which has ``check_grad``.
To add a check: its case in ``gradient`` and its line in ``report``.
"""

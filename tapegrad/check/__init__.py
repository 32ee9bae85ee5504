"""Derivatives checked: against finite differences, and forward mode against reverse mode.

May import: ``transforms`` and what is left of it.
Start reading: ``gradient`` (``check_grad``), then ``verdict`` (one derivative), then ``causes``.
To add a check: its case in ``verdict`` and its line in ``report``.
"""

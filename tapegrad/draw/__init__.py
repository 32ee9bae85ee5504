"""Pictures of a tape: as DOT, as SVG, and as a page that steps through both sweeps.

May import: ``inspect`` and what is left of it.
Start reading: ``picture`` (boxes, arrows, a caption), then ``drawing``, which puts one together.
To add a picture: a module that gives boxes and arrows, and its name in ``drawing``.
"""

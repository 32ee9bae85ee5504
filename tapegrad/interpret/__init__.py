"""Readings of a tape, one file each; they know tapes and rows, and nothing of each other."""

"""Rows run by an executor's workers: tapes and rows are sent to them, and no functions."""

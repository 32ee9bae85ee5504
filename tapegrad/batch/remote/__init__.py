"""Rows run by an executor's workers, to which tapes travel and the user's function does not."""

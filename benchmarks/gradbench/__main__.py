"""Answers the messages on standard input: ``python -m benchmarks.gradbench``."""

import sys

from benchmarks.gradbench.tool import responses

for response in responses(iter(sys.stdin)):
    sys.stdout.write(f"{response}\n")
    sys.stdout.flush()

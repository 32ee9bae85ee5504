"""tapegrad as a tool of GradBench, a public suite of derivative benchmarks.

    python -m benchmarks.gradbench

reads the suite's messages from standard input, one JSON object a line, and answers on standard
output, as the suite's page on its protocol describes: https://github.com/gradbench/gradbench. The
suite's own driver runs it with ``--tool "python -m benchmarks.gradbench"``. Each module of this
package is one of the suite's evals, written from its description; ``times`` measures all of them.
"""

"""Breaks stores on purpose and counts what was lost: `make faults`.

Each fault is a function that takes an empty directory and whether a sample is enough,
and yields an `Outcome` for every point that it tried. `make test` runs the samples;
`make faults` runs everything and writes the table of `docs/reliability.rst`.
"""

"""The table: medians, their ratios, and which targets were met."""

from collections.abc import Iterator

import contest
from results import Results


def lines(results: Results) -> Iterator[str]:
    """Yields the whole report, line by line."""
    for measurement, described in contest.MEASUREMENTS.items():
        for backend in results.backends:
            if results.sizes(backend, measurement):
                yield f"{described.letter}. {described.title} · {backend}"
                yield from _block(results, backend, measurement)
                yield ""
    yield "Targets"
    yield from _verdicts(results)


def verdict(target: contest.Target, ratio: float) -> str:
    """Says whether a ratio meets a target, and by how much it does not."""
    if ratio >= target.limit if target.at_least else ratio <= target.limit:
        return "MET"
    factor = target.limit / ratio if target.at_least else ratio / target.limit
    return f"MISSED by a factor of {_figures(factor)}"


def _block(results: Results, backend: str, measurement: str) -> Iterator[str]:
    described = contest.MEASUREMENTS[measurement]
    sizes = results.sizes(backend, measurement)
    heads = [f"{s}, {_shown(results.size_bytes(backend, s), 'B')}" for s in sizes]
    yield f"   {f'x: times {described.reference}':<36}" + "".join(
        f"{head:>23}" for head in heads
    )
    for contestant in results.contestants(backend, measurement):
        cells = []
        for size in sizes:
            median = results.median(backend, size, measurement, contestant)
            ratio = results.ratio(backend, size, measurement, contestant)
            value = "-" if median is None else _shown(median, described.unit)
            times = "" if ratio is None else f"{_figures(ratio)} x"
            cells.append(f"{value:>11}{times:>12}")
        yield f"   {contestant:<36}" + "".join(cells)


def _verdicts(results: Results) -> Iterator[str]:
    for target in contest.TARGETS:
        described = contest.MEASUREMENTS[target.measurement]
        bound = "at least" if target.at_least else "at most"
        for size in target.sizes:
            for backend in results.backends:
                ratio = results.ratio(
                    backend,
                    size,
                    target.measurement,
                    target.contestant,
                    target.reference,
                )
                if ratio is None:
                    continue
                aim = f"{bound} {target.limit:.3g} x {target.reference}"
                yield (
                    f"   {described.letter}. {described.title:<41} {size:<8} "
                    f"{backend:<11} {aim:<43} {_figures(ratio):>7} x  "
                    f"{verdict(target, ratio)}"
                )


def _figures(value: float) -> str:
    """Returns three figures without a power of ten: people compare these by eye."""
    size = abs(value)
    decimals = next((d for d, least in enumerate((99.95, 9.995)) if size >= least), 2)
    return f"{value:.{decimals if size >= 0.0995 or not value else 3}f}"


def _shown(value: float, unit: str) -> str:
    """Returns a number with the prefix that suits it, as `12.3 ms`."""
    prefixes = {1: "", 1e-3: "m", 1e-6: "µ"}
    if unit != "s":
        prefixes = {1e9: "G", 1e6: "M", 1e3: "k", 1: ""}
    fits = [factor for factor in prefixes if abs(value) >= factor]
    factor = fits[0] if fits else min(prefixes)
    return f"{_figures(value / factor)} {prefixes[factor]}{unit}"

"""What was measured, and the two numbers that are made of it: medians and ratios."""

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import contest


class Results:
    """Every number of a run, by backend, size, measurement and contestant.

    Args:
        backends: What was run, in the order to show it in.
        letters: The measurements to take in; others are by-products.
        settings: How the run was made, for those who read the file.
    """

    def __init__(
        self,
        backends: Iterable[str],
        letters: Iterable[str],
        settings: Mapping[str, Any],
    ) -> None:
        self.backends = tuple(backends)
        self._letters = frozenset(letters)
        self._settings = dict(settings)
        self._found: dict[str, dict[str, dict[str, Any]]] = {
            backend: {} for backend in self.backends
        }

    def add(self, backend: str, size: str, found: Mapping[str, Any]) -> None:
        """Takes in what a measuring function returned for one size of model."""
        of_size = self._found[backend].setdefault(size, {})
        of_size["bytes"] = found["bytes"]
        for measurement, values in found.items():
            known = contest.MEASUREMENTS.get(measurement)
            if known is not None and known.letter in self._letters:
                of_size.setdefault(measurement, {}).update(values)

    def size_bytes(self, backend: str, size: str) -> int:
        """Returns how many bytes a save of that model has to keep."""
        return int(self._found[backend][size]["bytes"])

    def sizes(self, backend: str, measurement: str) -> list[str]:
        """Returns the sizes for which something was measured, the small one first."""
        found = self._found[backend]
        return [s for s in contest.SIZES if measurement in found.get(s, {})]

    def contestants(self, backend: str, measurement: str) -> Iterator[str]:
        """Yields who took part, each once."""
        seen: dict[str, None] = {}
        for size in self.sizes(backend, measurement):
            seen.update(dict.fromkeys(self._found[backend][size][measurement]))
        yield from seen

    def median(
        self, backend: str, size: str, measurement: str, contestant: str
    ) -> float | None:
        """Returns the median, or `None` if that was not measured."""
        values = self._found[backend].get(size, {}).get(measurement)
        if values and contestant == contest.BYTES_SAVED:
            return self.size_bytes(backend, size)
        if not values or contestant not in values:
            return None
        return statistics.median(values[contestant])

    def ratio(
        self,
        backend: str,
        size: str,
        measurement: str,
        contestant: str,
        reference: str | None = None,
    ) -> float | None:
        """Returns one median divided by another, or `None` if one is missing.

        Args:
            backend: The backend.
            size: The size of model.
            measurement: A key of `contest.MEASUREMENTS`.
            contestant: Whose median.
            reference: Divided by whose. Defaults to the measurement's own.
        """
        if reference is None:
            reference = contest.MEASUREMENTS[measurement].reference
        value = self.median(backend, size, measurement, contestant)
        base = self.median(backend, size, measurement, reference)
        return None if value is None or not base else value / base

    def write(self, path: Path) -> None:
        """Writes every number as JSON."""
        text = json.dumps({**self._settings, "results": self._found}, indent=1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")

"""Which versions belong to one training."""

import dataclasses

from keras_versioned_ckpt._lineage import resumed_from, runs
from keras_versioned_ckpt.records import HistoryEntry

from .factories import versions


def history(*belongings: tuple[str | None, int | None]) -> list[HistoryEntry]:
    """Returns versions of these runs, with these parents."""
    made = zip(versions(count=len(belongings)), belongings, strict=True)
    return [
        HistoryEntry(version=dataclasses.replace(v, run_id=run_id, parent=parent))
        for v, (run_id, parent) in made
    ]


def test_a_run_has_its_versions_in_order() -> None:
    """Also where two trainings saved in turn."""
    entries = history(("a", None), ("b", None), ("a", 1), ("b", 2))
    found = runs(reversed(entries))
    assert [run.run_id for run in found] == ["a", "b"]
    assert [[e.number for e in run.entries] for run in found] == [[1, 3], [2, 4]]
    assert [run.resumed_from for run in found] == [None, None]


def test_a_run_that_went_on_knows_from_where() -> None:
    """The parent of its first version; not those of the ones after."""
    entries = history(("a", None), ("a", 1), ("b", 1), ("b", 3))
    assert [run.resumed_from for run in runs(entries)] == [None, 1]
    assert resumed_from(entries) == {1}


def test_what_was_saved_by_hand_belongs_to_no_training() -> None:
    """It has no parent, whatever it says."""
    entries = history((None, None), (None, 1))
    (run,) = runs(entries)
    assert (run.run_id, run.resumed_from) == (None, None)
    assert resumed_from(entries) == frozenset()


def test_a_store_without_versions_has_no_trainings() -> None:
    """Nor anything that one went on from."""
    assert runs([]) == ()

"""Damages every kind of file of a store in every way, and sees that it is told.

What is told by nobody, on purpose:

* A `ledger.index` only saves time. A damaged one is passed over, and made anew.
* An empty lock is what a lock is, and a missing one is made by whoever needs it.
  `store.json` is made anew from the manifests, `staging/` and `trash/` are made empty.
* The ledger's lines about what is gone have no second witness: a bit flipped inside a
  reason or a date shows only where the line can no longer be read. A flipped bit that
  changes no fact, such as one in the name of a checksum, harms nothing.
* What is lost with the whole ledger is the memory of what is gone, and so the number
  of a newest version that was deleted.
"""

import functools

from faults import damaged_records as records
from faults import damaged_versions as versions
from faults.outcome import Fault

FAULTS: dict[str, Fault] = {
    "damage: model.keras": functools.partial(versions.files, format="keras"),
    "damage: model.weights.h5": functools.partial(versions.files, format="weights"),
    "damage: SavedModel": functools.partial(versions.files, format="saved_model"),
    "damage: copied versions": versions.copies,
    "damage: store.json": records.store_file,
    "damage: ledger": records.of_ledger,
    "damage: ledger.index": records.of_index,
    "damage: tag": records.of_tag,
    "damage: lock": records.of_lock,
    "damage: folders": records.folders,
    "damage: staging, trash": records.leftovers,
}

"""Where things lie in a store."""

from pathlib import Path
from typing import NamedTuple

#: The file in each version that says what the version is.
MANIFEST = "manifest.json"


class Layout(NamedTuple):
    """The paths of a store; asking for one touches no disk."""

    root: Path

    @property
    def room(self) -> Path:
        """The store's own room, beside the versions."""
        return self.root / ".versions"

    @property
    def store_file(self) -> Path:
        """Format number and store id."""
        return self.room / "store.json"

    @property
    def ledger(self) -> Path:
        """What happened, in order."""
        return self.room / "ledger.jsonl"

    @property
    def ledger_index(self) -> Path:
        """What `latest` and `best` need of a long ledger."""
        return self.room / "ledger.index"

    @property
    def tags(self) -> Path:
        """One file per tag."""
        return self.room / "tags"

    @property
    def staging(self) -> Path:
        """Versions in the making."""
        return self.room / "staging"

    @property
    def trash(self) -> Path:
        """Versions that are decided to go, until their files are deleted."""
        return self.room / "trash"

    @property
    def quarantine(self) -> Path:
        """What was damaged, and moved out of the way by `repair`."""
        return self.room / "quarantine"

    @property
    def lock(self) -> Path:
        """Held while anything that others can see changes."""
        return self.room / "lock"

    @property
    def folders(self) -> tuple[Path, ...]:
        """The directories that every store has."""
        return (self.room, self.tags, self.staging, self.trash)

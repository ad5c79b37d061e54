"""What a training prints of its saves: one line for each."""

import dataclasses

from keras_versioned_ckpt._messages import escaped, listing, rounded_size
from keras_versioned_ckpt._plan import Plan
from keras_versioned_ckpt._ranking import score
from keras_versioned_ckpt.records import Version


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timing:
    """How long the parts of a save took, in seconds.

    Args:
        waited: For how long the training stood still, also for the save before.
        written: From then on, until the version was on the disk.
        pruned: What retention took after that.
    """

    waited: float
    written: float
    pruned: float


def saved(
    version: Version,
    timing: Timing,
    *,
    monitor: str,
    best: Version | None,
    plan: Plan | None,
    verbose: int,
) -> str:
    """Returns the line about a version that was saved.

    Args:
        version: It.
        timing: How long it took.
        monitor: The metric that makes a version the best.
        best: The best version there is now; `None` where that cannot be told.
        plan: What retention did after it; `None` without a policy.
        verbose: From 2 on, the line has the background's timing as well.
    """
    parts = [f"{_moment(version)}: saved {version.name}"]
    if value := _value(version, monitor):
        parts[0] += f", {value}"
        if best is not None and best.number == version.number:
            parts[0] += ", the best so far"
        elif best is not None:
            parts[0] += f", the best is {best.metrics[monitor]:.5g} in {best.name}"
    parts.append(f"training waited {timing.waited:.3f} s")
    if plan is not None and plan.remove:
        parts.append(f"removed {_removed(plan)}")
    if verbose > 1:
        rate = version.size_bytes / max(timing.written, 1e-6)
        parts.append(
            f"{rounded_size(version.size_bytes)} on the disk after "
            f"{timing.written:.3f} s, {rounded_size(round(rate))}/s; "
            f"retention took {timing.pruned:.3f} s"
        )
    return "; ".join(parts)


def resumed(name: str, epoch: int, batch: int | None) -> str:
    """Returns the line about a training that goes on.

    Args:
        name: The name of the version that it goes on from.
        epoch: The epochs that were completed.
        batch: Batches into the one after these; `None` between two epochs.
    """
    done = f"batch {batch} of epoch {epoch + 1}" if batch else f"epoch {epoch}"
    return f"Resumed from {name}, after {done}"


def not_improved(epoch: int, monitor: str, value: float, best: float) -> str:
    """Returns the line about a version that is not saved, since it is not better."""
    return (
        f"Epoch {epoch}: {escaped(monitor)} {value:.5g} did not improve on "
        f"{best:.5g}, not saved"
    )


def made_room(plan: Plan) -> str:
    """Returns the line about what went so that the next version has space."""
    names = listing(version.name for version in plan.remove)
    return f"The disk is full: removed {names} to make room"


def _moment(version: Version) -> str:
    if version.batch is None:
        return f"Epoch {version.epoch}"
    return f"Epoch {(version.epoch or 0) + 1}, batch {version.batch}"


def _value(version: Version, monitor: str) -> str:
    if (value := score(version, monitor)) is not None:
        return f"{escaped(monitor)} {value:.5g}"
    return ""


def _removed(plan: Plan) -> str:
    names: dict[str, list[str]] = {}
    for version in plan.remove:
        why = "; ".join(plan.reasons[version.number]).removeprefix("removed: ")
        names.setdefault(why, []).append(version.name)
    return ", ".join(f"{listing(gone)} ({why})" for why, gone in names.items())

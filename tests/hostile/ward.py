"""Does with a hostile store whatever can be done with one, in a process of its own.

`python -m tests.hostile.ward` takes the path of a store per line, and answers with one
line of JSON: what came of every act. Each store gets a fork of this process, which is
small, so that what one eats is measured from a low and known level.
"""

import contextlib
import ctypes
import io
import json
import logging
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from keras_versioned_ckpt import _table, cli
from keras_versioned_ckpt.errors import CheckpointError, CheckpointWarning
from keras_versioned_ckpt.retention import (
    KeepAll,
    KeepBest,
    KeepDaily,
    KeepLast,
    KeepSize,
    KeepTagged,
    KeepWithin,
    KeepYearly,
)
from keras_versioned_ckpt.selectors import parse_selector
from keras_versioned_ckpt.store import CheckpointStore
from tests.stores import new_store, save

MEMORY_BYTES = 256 * 1024 * 1024
WALL_SECONDS = 120

SELECTORS = [
    *("latest", "latest~1", "best", "best~1", "best:val_loss:max", "3", "version_3"),
    *("name:version_1", "epoch:3", "step:1000", "tag:prod", "tag:prod~1", "4~2"),
    *("as-of:2026-11-20 18:00Z", "as-of:9999-12-31 23:00Z"),
]
POLICIES = [
    KeepAll(),
    KeepLast(1),
    KeepBest(1, "val_loss", "min"),
    KeepDaily(1, timezone="Asia/Tokyo"),
    KeepYearly(1, timezone="America/New_York"),
    KeepWithin("1 year"),
    KeepTagged("p*"),
    KeepSize("10 B"),
]
COMMANDS = [
    *(["list"], ["list", "--gone"], ["list", "--all", "--csv"], ["list", "--json"]),
    *(["show", "3"], ["show", "version_2"], ["verify"], ["path", "best"]),
]
# What may be wrong with the question where no version says what is the best.
OF_THE_CALLER = ("`mode` must be given", "`monitor` must be given")


def acts(root: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yields what can be done with a store; those that change it come last."""

    def opened() -> CheckpointStore:
        return CheckpointStore(root)

    yield "open", opened
    yield "versions", lambda: opened().versions
    yield "iterate", lambda: [(str(v), v.path, v.tags) for v in opened()]
    yield "look up a number", lambda: opened()[3]
    yield "look up a name", lambda: opened()["version_3"]
    yield "look up what is gone", lambda: opened()[2]
    yield "contains", lambda: "version_3" in opened()
    yield "tags", lambda: dict(opened().tags)
    yield "history", lambda: opened().history
    yield "latest", lambda: opened().latest()
    yield "best", lambda: opened().best()
    yield "best by another", lambda: opened().best("val_loss", "max")
    for text in SELECTORS:
        yield f"select {text}", lambda text=text: opened().select(parse_selector(text))
    yield "verify", lambda: opened().verify()
    yield "next name", lambda: opened().next_name()
    for words in COMMANDS:
        line = [words[0], root, *words[1:]]
        yield f"keras-ckpt {' '.join(words)}", lambda line=line: cli.main(line)
    yield "keras-ckpt report", lambda: _report(root)
    for policy in POLICIES:
        yield (
            f"dry {policy!r}",
            lambda policy=policy: opened().prune(policy, dry_run=True),
        )
    yield "tables", lambda: _tables(opened())
    yield "tag", lambda: opened().tag(3, "new")
    yield "untag", lambda: opened().untag("new")
    yield "save", lambda: save(opened(), loss=0.01)
    yield "save without a name for it", lambda: save(CheckpointStore(root, create=True))
    for number in (1, 3):
        yield f"delete {number}", lambda number=number: opened().delete(number)
    for policy in POLICIES[1:]:
        yield f"prune {policy!r}", lambda policy=policy: opened().prune(policy)
    yield "untag prod", lambda: opened().untag("prod")
    yield "repair", lambda: opened().repair()
    yield "verify again", lambda: opened().verify()
    yield "save again", lambda: save(opened(), loss=0.02)
    yield "prune again", lambda: opened().prune(KeepLast(1))
    yield "list again", lambda: opened().versions


def _tables(store: CheckpointStore) -> str:
    history = store.history
    str(_table.history_table(history))
    return str(_table.version_table(entry.version for entry in history))


def _report(root: str) -> str:
    """Returns the page about a store, in which there is one script, the report's."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "report.html"
        if cli.main(["report", root, "--no-verify", "-o", str(path)]) != 0:
            return ""
        page = path.read_text("utf-8")
        assert page.count("<script") == 1
        return page


def met(root: str, few: bool) -> dict[str, Any]:
    """Does everything with one store, or a few of each kind, and tells of it."""
    _guard_memory()
    start = _peak_bytes()
    outcomes = {}
    for name, act in acts(root):
        if few and name.startswith(("select", "dry", "prune Keep")) and "1" not in name:
            continue
        cpu, wall = time.process_time(), time.monotonic()
        outcome = _outcome(act)
        outcome["cpu"] = time.process_time() - cpu
        outcome["wall"] = time.monotonic() - wall
        outcome["bytes"] = _peak_bytes() - start
        outcomes[name] = outcome
    return {"acts": outcomes, "bytes": _peak_bytes() - start}


def _outcome(act: Callable[[], Any]) -> dict[str, Any]:
    """Does one thing; returns all that it said, and what was not documented."""
    said: list[str] = []
    wrong: list[str] = []
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    logging.getLogger().addHandler(handler)
    try:
        with (
            warnings.catch_warnings(record=True) as caught,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(out),
        ):
            warnings.simplefilter("always")
            answer = act()
        # A long list is not printed whole by anybody.
        for item in answer if isinstance(answer, tuple) else [answer]:
            said += [repr(item), str(item)]
            if sum(map(len, said)) > 20_000_000:
                break
    except CheckpointError as error:
        said += _chain(error)
    except (ValueError, TypeError) as error:
        said += _chain(error)
        if not str(error).startswith(OF_THE_CALLER):
            wrong.append("".join(traceback.format_exception(error))[-1500:])
    except BaseException as error:
        wrong.append("".join(traceback.format_exception(error))[-1500:])
    finally:
        logging.getLogger().removeHandler(handler)
    for warning in caught:
        said.append(str(warning.message))
        if not issubclass(warning.category, CheckpointWarning):
            wrong.append(f"{warning.category.__name__}: {warning.message}"[:500])
    said.append(out.getvalue())
    for text in said:
        for line in text.split("\n"):
            if not line.isprintable():
                wrong.append(f"raw characters are shown: {line[:300]!r}")
                break
    return {"said": "\n".join(text[:2000] for text in said)[:20_000], "wrong": wrong}


def _chain(error: BaseException | None) -> list[str]:
    """Returns the texts of an error and its causes, as a traceback shows them."""
    texts = []
    while error is not None:
        texts.append(f"{type(error).__name__}: {error}")
        error = error.__cause__
    return texts


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _guard_memory() -> None:
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    most = pages * resource.getpagesize() + 4 * MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _bind_by_permissions() -> None:
    """Takes from this process what lets root pass over permissions."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    for i in range(3):
        # capabilities(7): 1 is CAP_DAC_OVERRIDE, 2 is CAP_DAC_READ_SEARCH.
        sets[i] &= ~(1 << 1 | 1 << 2)
    assert libc.capset(header, sets) == 0


def main() -> None:
    """Answers one line after the other."""
    # Before the forks: what is imported when it is asked for is no fault of a store.
    with tempfile.TemporaryDirectory() as directory:
        store = new_store(Path(directory) / "store", 0.5, 0.25)
        for _, act in acts(str(store.path)):
            _outcome(act)
    for line in sys.stdin:
        question = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(WALL_SECONDS)
                if question["as_user"] and os.geteuid() == 0:
                    _bind_by_permissions()
                answer = met(question["root"], question["few"])
                with open(question["answer"], "w", encoding="ascii") as file:
                    json.dump(answer, file)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"status": status}), flush=True)


if __name__ == "__main__":
    main()

"""Draws docs/policies.svg: which of 60 days of versions five policies keep.

    python docs/policies_picture.py            # writes docs/policies.svg

The history is made up, and the same each time: a version every six hours for 60
days, with a validation loss that falls, and wobbles. Every dot is a version; the
full ones are those that the policy keeps.
"""

import math
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import escape

from keras_versioned_ckpt import (
    KeepBest,
    KeepDaily,
    KeepLast,
    KeepMonthly,
    KeepWeekly,
    KeepWithin,
    Version,
)

DAYS, PER_DAY = 60, 4
START = datetime(2026, 9, 22, tzinfo=UTC)

POLICIES = (
    KeepLast(10),
    KeepBest(10),
    KeepWithin("7 days"),
    KeepLast(3) | KeepDaily(7) | KeepWeekly(4) | KeepMonthly(3),
    KeepWithin("2 days") | KeepWeekly(8) | KeepBest(5),
)

WIDTH, LEFT, RIGHT, TOP, ROW, CURVE = 960, 24, 24, 40, 56, 90
INK, MUTED, FAINT, KEPT, GRID = "#1f2933", "#5b6874", "#c5ced8", "#0b6bcb", "#e4e9ee"


def history():
    """Returns the versions, oldest first."""
    versions = []
    for i in range(DAYS * PER_DAY):
        wobble = 0.05 * math.sin(i * 1.7) + 0.04 * math.sin(i * 0.41)
        overfit = 0.12 * max(0.0, i / (DAYS * PER_DAY) - 0.7)
        loss = 0.25 + 0.75 * math.exp(-i / 60) + wobble + overfit
        versions.append(
            Version(
                number=i + 1,
                created=START + i * timedelta(days=1) / PER_DAY,
                metrics={"val_loss": round(loss, 4)},
                monitor="val_loss",
                mode="min",
            )
        )
    return versions


def picture(versions):
    """Returns the picture as SVG text."""
    height = TOP + CURVE + ROW * len(POLICIES) + 24
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="13" role="img" '
        'aria-label="Which of 60 days of versions five policies keep">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    step = (WIDTH - LEFT - RIGHT) / (len(versions) - 1)
    at = [LEFT + i * step for i in range(len(versions))]
    for i in range(0, len(versions), 7 * PER_DAY):
        label = f"{versions[i].created:%d %b}"
        out.append(
            f'<line x1="{at[i]:.1f}" x2="{at[i]:.1f}" y1="{TOP - 12}" '
            f'y2="{height - 16}" stroke="{GRID}"/>'
            f'<text x="{at[i] + 3:.1f}" y="{TOP - 14}" fill="{INK}" '
            f'font-size="11">{label}</text>'
        )
    losses = [version.metrics["val_loss"] for version in versions]
    low, high = min(losses), max(losses)
    heights = [TOP + (CURVE - 26) * (high - v) / (high - low) for v in losses]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(at, heights, strict=True))
    out.append(
        f'<text x="{WIDTH - RIGHT - 60}" y="{TOP + 8}" fill="{INK}">val_loss</text>'
        f'<polyline points="{points}" fill="none" stroke="{INK}" stroke-width="1.2"/>'
    )
    for row, policy in enumerate(POLICIES):
        kept = {version.number for version in policy.plan(versions).keep}
        y = TOP + CURVE + ROW * row
        out.append(
            f'<text x="{LEFT}" y="{y + 6}" fill="{INK}">{escape(repr(policy))} '
            f'<tspan fill="{MUTED}">keeps {len(kept)} of {len(versions)}</tspan></text>'
        )
        for x, version in zip(at, versions, strict=True):
            full = version.number in kept
            out.append(
                f'<circle cx="{x:.1f}" cy="{y + 24}" r="{4 if full else 1.3}" '
                f'fill="{KEPT if full else FAINT}"/>'
            )
    return "\n".join([*out, "</svg>"]) + "\n"


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    (target / "policies.svg").write_text(picture(history()), encoding="utf-8")

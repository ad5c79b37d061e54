"""The beginning of a report, in numbers, and its end: what `verify` found."""

from keras_versioned_ckpt._markup import Child, Markup, element
from keras_versioned_ckpt._messages import rounded_size, shortened
from keras_versioned_ckpt._report_facts import Facts, instant, named, number, plural
from keras_versioned_ckpt._report_parts import MISSING, section, sentence

#: How many problems and tags are listed.
MOST_PROBLEMS = 200
_MOST_TAGS = 50


def summary(facts: Facts) -> Markup:
    """Returns what is in the store, in a few numbers."""
    there = facts.there
    size = rounded_size(sum(version.size_bytes for version in there))
    tiles = [
        _tile("There", f"{len(there):,}", f"{facts.gone:,} gone"),
        _tile("Size", size, _average(facts)),
    ]
    if facts.best is not None and facts.metric is not None:
        value = number(facts.best.metrics[facts.metric])
        tiles.append(
            _tile("Best", named(facts.best.name), f"{named(facts.metric)} {value}")
        )
    else:
        why = "no metric" if facts.metric is None else named(facts.metric)
        tiles.append(_tile("Best", MISSING, f"no telling by {why}"))
    if there:
        latest = there[-1]
        tiles.append(
            _tile("Latest", named(latest.name), f"{instant(latest.created)} UTC")
        )
    else:
        tiles.append(_tile("Latest", MISSING, "nothing is there"))
    verdict, about = _verdict(facts)
    tiles.append(_tile("Verified", verdict, about))
    return element(
        "section",
        element("h2", "In short", id="summary-heading", class_="unseen"),
        element("dl", *tiles, class_="tiles"),
        _tags(facts),
        id="summary",
        aria_labelledby="summary-heading",
    )


def verification(facts: Facts) -> Markup:
    """Returns the section about what `verify` found."""
    name, heading = "verify", "Verification"
    when = f"{instant(facts.now)} UTC"
    if facts.checked is None:
        return section(
            name,
            heading,
            sentence(
                "Not verified for this report. ",
                element("code", "keras-ckpt verify"),
                " reads every file and compares it with its manifest.",
            ),
        )
    checked = f"{plural(facts.checked, 'version')} read in full and compared"
    if not facts.problems:
        words = element("strong", "✓ No problem. ", class_="good")
        about = f"{checked} with their manifests, for the report of {when}."
        return section(name, heading, sentence(words, about))
    count = plural(len(facts.problems), "problem")
    more = len(facts.problems) - MOST_PROBLEMS
    rows: list[Child] = [
        element("li", shortened(problem, 500))
        for problem in facts.problems[:MOST_PROBLEMS]
    ]
    return section(
        name,
        heading,
        sentence(
            element("strong", f"✗ {count}. ", class_="bad"),
            f"{checked} with their manifests, for the report of {when}.",
        ),
        element("ul", *rows, class_="problems"),
        sentence(f"{more:,} more are not listed.", class_="note") if more > 0 else None,
    )


def _verdict(facts: Facts) -> tuple[str, str]:
    if facts.checked is None:
        return MISSING, "not verified"
    if not facts.problems:
        return "✓ ok", f"{plural(facts.checked, 'version')} read in full"
    return f"✗ {plural(len(facts.problems), 'problem')}", "listed at the end"


def _average(facts: Facts) -> str:
    if not facts.there:
        return "nothing is there"
    largest = max(version.size_bytes for version in facts.there)
    return f"the largest {rounded_size(largest)}"


def _tile(name: str, value: str, about: str) -> Markup:
    return element(
        "div",
        element("dt", name),
        element("dd", value, class_="value"),
        element("dd", about),
    )


def _tags(facts: Facts) -> Markup | None:
    tags = sorted(
        (tag, version.name) for version in facts.there for tag in version.tags
    )
    if not tags:
        return None
    items = [
        element("li", element("b", named(tag)), f" {named(name)}")
        for tag, name in tags[:_MOST_TAGS]
    ]
    if more := len(tags) - len(items):
        items.append(element("li", f"and {more:,} more"))
    return element(
        "div",
        element("h3", "Tags"),
        element("ul", *items, class_="tags"),
        class_="tag-list",
    )

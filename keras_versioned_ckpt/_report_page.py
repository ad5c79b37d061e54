"""A report as one page of HTML that needs nothing else, neither a network nor a script.

The page may show anything that was in the store. Its content security policy allows
one style and one script, by their hashes, and no request at all.
"""

import base64
import hashlib
import importlib.resources

from keras_versioned_ckpt._markup import Markup, element, joined
from keras_versioned_ckpt._report_curves import curves
from keras_versioned_ckpt._report_facts import Facts, instant, named
from keras_versioned_ckpt._report_lineage import lineage
from keras_versioned_ckpt._report_sizes import sizes
from keras_versioned_ckpt._report_summary import summary, verification
from keras_versioned_ckpt._report_table import table
from keras_versioned_ckpt._report_timeline import timeline
from keras_versioned_ckpt._version import __version__

_LINKS = {
    "curve": "Metrics",
    "retention": "Retention",
    "sizes": "Sizes",
    "lineage": "Lineage",
    "versions": "Versions",
    "verify": "Verification",
}


def page(facts: Facts) -> str:
    """Returns a report as the text of an HTML file.

    Args:
        facts: What it is about.
    """
    name = facts.path.replace("\\", "/").rstrip("/").rpartition("/")[2] or facts.path
    title = f"{named(name)}: checkpoint report"
    return "<!doctype html>\n" + element(
        "html",
        _head(title),
        element(
            "body",
            _banner(facts, named(name)),
            element(
                "main",
                summary(facts),
                curves(facts),
                timeline(facts),
                sizes(facts),
                lineage(facts),
                table(facts),
                verification(facts),
                id="report",
            ),
            element(
                "footer",
                f"Made {instant(facts.now)} UTC by keras-versioned-ckpt {__version__}.",
            ),
            element("script", Markup(_resource("report.js"))),
        ),
        lang="en",
    )


def _head(title: str) -> Markup:
    style, script = _resource("report.css"), _resource("report.js")
    policy = "; ".join(
        [
            "default-src 'none'",
            f"style-src '{_digest(style)}'",
            f"script-src '{_digest(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    return element(
        "head",
        element("meta", charset="utf-8"),
        # Before anything that it is about.
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", Markup(style)),
    )


def _banner(facts: Facts, name: str) -> Markup:
    links = [element("a", words, href=f"#{at}") for at, words in _LINKS.items()]
    return element(
        "header",
        element("p", "Checkpoint store", class_="kind"),
        element("h1", name),
        element("p", element("code", facts.path), class_="path"),
        element("nav", joined(links), aria_label="Sections"),
    )


def _resource(name: str) -> str:
    files = importlib.resources.files("keras_versioned_ckpt")
    return files.joinpath(name).read_text(encoding="utf-8")


def _digest(source: str) -> str:
    digest = hashlib.sha256(source.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"

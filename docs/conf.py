"""How Sphinx builds the documentation: `make docs`. Needs no network."""

import contextlib
import io
import re
from typing import Any

from docutils import nodes
from docutils.parsers.rst import roles
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import keras_versioned_ckpt
from keras_versioned_ckpt import cli

project = "keras-versioned-ckpt"
author = copyright = "The keras-versioned-ckpt authors"
release = version = keras_versioned_ckpt.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"keras-versioned-ckpt {release}"
html_show_sourcelink = html_copy_source = False
add_module_names = False

# Docstrings have one backtick where reStructuredText has two, as those of Keras do.
default_role = "public"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# A link that leads nowhere is an error, but for what others document (the standard
# library, python-dateutil, matplotlib): to know those, their indexes would be fetched.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:class", r"(collections\.abc|datetime|dateutil|os|pathlib)\.\w.*|tuple\[str"),
    (r"py:class", r"(matplotlib\.axes\.)?Axes"),
]


def public_role(
    role: str, rawtext: str, text: str, *where: Any
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """Shows code, and links it where it is a public name of this package."""
    literal = nodes.literal(rawtext, text, classes=["code"])
    name = text.removesuffix("()")
    if name not in keras_versioned_ckpt.__all__:
        return [literal], []
    link = pending_xref(
        rawtext,
        literal,
        refdomain="py",
        reftype="obj",
        reftarget=f"keras_versioned_ckpt.{name}",
        refspecific=False,
        refexplicit=True,
        refwarn=True,
    )
    return [link], []


def from_markdown(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Turns the fenced blocks of a docstring into blocks of reStructuredText."""
    text = "\n".join(lines)
    parts = re.split(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    for i, part in enumerate(parts):
        if i % 2:
            code = re.sub(r"^(?=.)", "    ", part, flags=re.MULTILINE)
            parts[i] = f".. code-block:: python\n\n{code}"
        else:
            # Outside of code a backslash would escape what follows it.
            parts[i] = re.sub(r"(?m)^(?!\s*(>>>|\.\.\.)).*`.*$", _escaped, part)
    lines[:] = "".join(parts).split("\n")


def _escaped(match: re.Match[str]) -> str:
    return match[0].replace("\\", "\\\\")


class Commands(SphinxDirective):
    """A section for each command of `keras-ckpt`, with what `--help` says."""

    def run(self) -> list[nodes.Node]:
        """Asks the program itself, so that the page cannot be out of date."""
        about = help_text()
        found: list[nodes.Node] = [nodes.literal_block(about, about, language="text")]
        for name in re.findall(r"^    ([\w-]+)(?: |$)", about, re.MULTILINE):
            about = help_text(name)
            section = nodes.section(ids=[f"keras-ckpt-{name}"], names=[name])
            section += nodes.title(text=f"keras-ckpt {name}")
            section += nodes.literal_block(about, about, language="text")
            found.append(section)
        return found


def help_text(*words: str) -> str:
    """Returns what `keras-ckpt … --help` prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        cli.main([*words, "--help"])
    return out.getvalue().rstrip()


def setup(app: Sphinx) -> None:
    """Adds the three parts above."""
    roles.register_local_role("public", public_role)
    app.add_directive("keras-ckpt-commands", Commands)
    # Before napoleon, which listens with the default priority.
    app.connect("autodoc-process-docstring", from_markdown, priority=400)

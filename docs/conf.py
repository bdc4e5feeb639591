"""How Sphinx builds these pages: `nox -s docs`. They are Markdown, and readable without it."""

from __future__ import annotations

project = "Bond"
author = "the Bond authors"
copyright = "2026 the Bond authors"

extensions = ["myst_parser"]
# A link to a heading is checked too, down to this level.
myst_heading_anchors = 3
# What a link in the text may be: a page, a heading, or an address; everything else is an error.
myst_url_schemes = ["http", "https", "mailto"]

html_theme = "alabaster"
html_theme_options = {
    "description": "A sentence in, a live and time-aligned stream of market data out.",
    "show_powered_by": False,
}
html_show_sourcelink = False

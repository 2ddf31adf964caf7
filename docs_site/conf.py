"""Sphinx reads this: the theme, and Markdown as a forge reads it."""

from pathlib import Path

project = "Avra webhooks"
extensions = ["myst_parser"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "Avra webhooks"
html_favicon = "../static/favicon.svg"
html_static_path = ["static"]
html_css_files = ["site.css"]
templates_path = ["templates"]
html_search_scorer = str(Path(__file__).with_name("search_scores.js"))
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
html_use_index = False
html_domain_indices = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
html_theme_options = {"top_of_page_buttons": ["view"], "navigation_with_keys": False}
# An example that is cut short with an ellipsis is shown plain.
suppress_warnings = ["misc.highlighting_failure"]

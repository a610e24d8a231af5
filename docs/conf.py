"""Sphinx configuration."""

from importlib.metadata import version as installed_version

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml

project = "unitscope"
author = "The unitscope authors"
copyright = "The unitscope authors, Apache-2.0"
version = release = installed_version("unitscope")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "_cards", "_results"]
source_suffix = {".md": "markdown"}
default_role = "literal"

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True

html_math_renderer = "mathml"
html_theme = "furo"
html_title = "unitscope"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0072B2", "color-brand-content": "#0072B2"},
    "dark_css_variables": {"color-brand-primary": "#56B4E9", "color-brand-content": "#56B4E9"},
}


def setup(app):
    """Formulas as MathML, which browsers draw without a script; defaults of fields as `...`."""

    def inline(writer, node):
        writer.body.append(tex2mathml(node.astext()))
        raise SkipNode

    def block(writer, node):
        writer.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
        raise SkipNode

    def shorten(app, what, name, object, options, signature, returns):
        return signature and signature.replace("<factory>", "..."), returns

    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.connect("autodoc-process-signature", shorten)

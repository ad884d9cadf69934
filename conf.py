"""Sphinx settings: ``sphinx-build -c . docs build/html``. The look is in docs/_static/guide.css."""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "docs"), str(ROOT)]

from _ext.inventories import mapping  # noqa: E402  the line above makes these importable
from compile_guide import __version__  # noqa: E402
from compile_guide.sphinxext.gallery import gallery_conf  # noqa: E402

project = "MLX Compile Guide"
author = copyright = "MLX Compile Guide contributors"  # no year: the site would change with the calendar
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.intersphinx"]
extensions += ["sphinx_gallery.gen_gallery", "sphinx_design", "sphinx_copybutton", "sphinx_llms_txt"]
extensions += ["compile_guide.sphinxext", "_ext"]  # after sphinx_gallery; the second is this guide's own
exclude_patterns = ["_templates", "gallery/backreferences", "records"]
nitpicky = True
suppress_warnings = ["sphinx_gallery.space_in_filename"]  # it means the folder that holds the checkout, too
nitpick_ignore_regex = [(r"py:.*", r"(mx|mlx)\.core\.array")]  # written in signatures; MLX isn't imported to look

# Text
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_numpy_docstring = False
python_use_unqualified_type_names = True

# For language models: llms.txt lists the pages; the full text is ours, because theirs is the source with its roles
llms_txt_full_max_size, llms_txt_full_size_policy = 0, "info_skip"  # llms_txt_full_file = False would write it anyway
llms_txt_summary = "How Apple's mx.compile behaves: every statement executed, every number measured on a named machine."
llms_txt_uri_template = "{docname}.html"
compile_guide_plain = "llms-full.txt"

# Examples and claims
TOPICS = ("basics", "tracing", "speed", "state", "training", "models", "shapeless", "transformations", "beyond")
sphinx_gallery_conf = gallery_conf(
    topics=(*TOPICS, "metalfaiss"),
    default_thumb_file=str(ROOT / "docs" / "_static" / "no-figure.svg"),
    doc_module=("compile_guide",),
    image_scrapers=("_ext.figures.scrape",),
    reset_modules=("matplotlib", "_ext.figures.use_style"),
    capture_repr=("_repr_html_",),
    css=(),
)
compile_guide_claims = "claims"
compile_guide_copy = "python -m compile_guide copy {name} FOLDER"

# Links into other documentation, made from the packages installed here: a build needs no network
intersphinx_mapping = mapping(ROOT / "build" / "inventories")

# Pages
html_theme = "furo"
html_title = project
html_baseurl = os.environ.get("COMPILE_GUIDE_URL", "")  # with it come a site map, a 404 page, link previews
if html_baseurl:
    extensions += ["notfound.extension"]
    notfound_urls_prefix = urlsplit(html_baseurl).path.rstrip("/") + "/"
html_static_path = ["docs/_static"]
templates_path = ["docs/_templates"]
html_favicon = "docs/_static/favicon.svg"
html_search_scorer = "docs/_static/scorer.js"
html_css_files = ["guide.css"]
html_js_files = [("guide.js", {"defer": "defer"})]
html_copy_source = True
html_last_updated_fmt = None
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5fc0", "color-brand-content": "#0b5fc0"},
    "dark_css_variables": {"color-brand-primary": "#6cb6ff", "color-brand-content": "#6cb6ff"},
    "navigation_with_keys": True,
}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
copybutton_selector = ":not(.sphx-glr-script-out):not(.guide-seen) > .highlight > pre"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

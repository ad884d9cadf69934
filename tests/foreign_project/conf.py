"""Settings of a project that isn't MLX Compile Guide: ``sphinx-build -c . docs build/html``."""

from compile_guide.sphinxext.gallery import gallery_conf

project = "Loudness"
author = copyright = "The authors of Loudness"

extensions = [
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "compile_guide.sphinxext",
]
exclude_patterns = ["gallery/backreferences", "records"]
html_theme = "furo"

# The examples of gallery/, topics in this order
sphinx_gallery_conf = gallery_conf(topics=("effects",))
compile_guide_copy = "compile-guide copy --gallery gallery {name} FOLDER"

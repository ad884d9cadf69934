"""Figures of the gallery: one style, one SVG for light and one for dark pages, titles as alternative text."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

from compile_guide.formatting import UNMEASURED
from compile_guide.sphinxext.nodes import warn

LIGHT_TO_DARK = {
    "#1f2328": "#e6edf3",  # ink
    "#59636e": "#9ea7b3",  # ticks
    "#d1d9e0": "#3d444d",  # grid
    "#0b5fc0": "#6cb6ff",
    "#b34700": "#f69d50",
    "#1a7f37": "#6bc46d",
    "#8045c9": "#c99bf5",
    "#a8216b": "#fc8dc7",
    "#5a5f66": "#b0b8c1",
}
INK, TICKS, GRID, *SERIES = LIGHT_TO_DARK
"""Every color of a figure that doesn't choose its own; each keeps a contrast of 3 or more on its page."""


def style() -> dict[str, Any]:
    """Return the matplotlib settings of every figure; the salt makes an SVG's ids reproducible."""
    from cycler import cycler

    return {
        "svg.hashsalt": "mlx-compile-guide", "svg.fonttype": "none",
        "savefig.transparent": True, "savefig.bbox": "tight", "figure.facecolor": "#ffffff",
        "figure.figsize": (7.2, 4.2), "font.size": 11,
        "text.color": INK, "axes.labelcolor": INK, "axes.titlecolor": INK, "axes.edgecolor": TICKS,
        "xtick.color": TICKS, "ytick.color": TICKS, "grid.color": GRID, "axes.grid": True,
        "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
        "axes.titlesize": 12, "axes.titlelocation": "left", "axes.facecolor": "none",
        "axes.prop_cycle": cycler(color=SERIES), "lines.linewidth": 2, "lines.markersize": 6,
        "legend.frameon": False, "legend.labelcolor": INK,
    }  # fmt: skip


def use_style(_gallery_conf: dict[str, Any], _file: str | None) -> None:
    """Set the style and the seed before an example runs (one of ``reset_modules``)."""
    from matplotlib import pyplot

    settings: Any = pyplot.rcParams
    settings.update(style())
    random.seed(0)


def for_dark(svg: str) -> str:
    """Return the figure for a dark page: the style's colors exchanged, grays turned round, others kept."""
    svg = re.sub(r"#[0-9a-f]{6}", lambda found: _dark(found[0]), svg)
    return svg.replace("<svg ", f'<svg fill="{_dark("#000000")}" ', 1)  # black is SVG's default, and never written


def _dark(color: str) -> str:
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    if color not in LIGHT_TO_DARK and red == green == blue:
        return "#" + f"{round(230 - 0.82 * red):02x}" * 3
    return LIGHT_TO_DARK.get(color, color)


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save every open figure twice and return the directives that show it (an image scraper)."""
    from matplotlib import pyplot

    parts = []
    for number, image in zip(pyplot.get_fignums(), block_vars["image_path_iterator"], strict=False):
        figure, light = pyplot.figure(number), Path(image).with_suffix(".svg")
        alt = title_of(figure)
        if not alt:
            name = Path(block_vars["src_file"]).name
            warn(
                f"{name}: figure {number} has no title, so nobody who can't see it learns what it shows",
                "figure",
            )
        for axes in figure.axes:
            _say_unmeasured(axes)
        figure.savefig(light, metadata={"Date": None, "Creator": None})
        dark = light.with_name(f"{light.stem}_dark.svg")
        dark.write_text(for_dark(light.read_text(encoding="utf-8")), encoding="utf-8")
        source = Path(gallery_conf["src_dir"])
        parts += [
            _image(file.relative_to(source), alt, f"only-{word}") for file, word in ((light, "light"), (dark, "dark"))
        ]
    pyplot.close("all")
    return "\n".join(parts)


def _say_unmeasured(axes: Any) -> None:
    """Write into a plot with a series of NaN alone that it isn't measured yet; no logarithmic axis can show it."""
    import numpy

    bars = [patch for patch in axes.patches if hasattr(patch, "get_height")]
    series = [line.get_ydata() for line in axes.lines] + [[bar.get_height() * bar.get_width()] for bar in bars]
    if any(len(values) and numpy.isnan(numpy.asarray(values, float)).all() for values in series):
        axes.set(xscale="linear", yscale="linear", xticks=[], yticks=[])
        axes.text(0.5, 0.5, UNMEASURED, transform=axes.transAxes, ha="center")


def title_of(figure: Any) -> str:
    """Return a figure's titles in one line: the figure's own, then those of its axes."""
    titles = [
        figure.get_suptitle(),
        *(axes.get_title(loc) for axes in figure.axes for loc in ("left", "center", "right")),
    ]
    return ", ".join(dict.fromkeys(" ".join(title.split()) for title in titles if title))


def _image(file: Path, alt: str, word: str) -> str:
    return f".. image:: /{file.as_posix()}\n   :alt: {alt}\n   :class: {word} guide-figure\n"

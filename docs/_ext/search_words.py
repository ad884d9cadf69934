"""The search index without repeated work: Sphinx finds a word's stem once for each page that has it, in Python."""

from __future__ import annotations

from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish


class English(SearchEnglish):
    """Sphinx's English, which remembers stems: few of a site's words stand on one page alone."""

    def __init__(self, options: dict[str, str]) -> None:
        super().__init__(options)
        self.stems: dict[str, str] = {}

    def stem(self, word: str) -> str:
        """Return a word's stem."""
        if word not in self.stems:
            self.stems[word] = super().stem(word)
        return self.stems[word]


def setup(app: Sphinx) -> None:
    """Take the place of Sphinx's English."""
    app.add_search_language(English)

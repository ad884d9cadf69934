"""The words of the search index."""

from __future__ import annotations

import pytest
from sphinx.search import SearchEnglish

from _ext.search_words import English

WORDS = ["Compiling", "compiled", "functions", "compiling", "arrays", "x"]


def test_stems_are_those_of_sphinx() -> None:
    ours, theirs = English({}), SearchEnglish({})
    assert [ours.stem(word) for word in WORDS * 2] == [theirs.stem(word) for word in WORDS * 2]


def test_a_stem_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, asked = English({}), []
    monkeypatch.setattr(SearchEnglish, "stem", lambda _self, word: asked.append(word) or "stem")
    assert [ours.stem(word) for word in ("compiled", "arrays", "compiled")] == ["stem"] * 3
    assert asked == ["compiled", "arrays"]

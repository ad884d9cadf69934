"""Each check about traces, state, training, transformations and shapeless comes out both ways."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from test_claims_twisted import TOPICS as OTHER_TOPICS
from test_claims_twisted import check
from twists_core import TWISTS

from compile_guide.claims import Seen, all_claims


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Seen | BaseException]]:
    """What each check saw: on the installed MLX, and on a twisted one."""
    root = tmp_path_factory.mktemp("twists")

    def both(id: str) -> list[Seen | BaseException]:
        seen: list[Seen | BaseException] = []
        for number, twist in enumerate(("", TWISTS[id])):
            try:
                seen.append(check(id, twist, root / f"{id}-{number}"))
            except AssertionError as error:
                seen.append(error)
        return seen

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(TWISTS, pool.map(both, TWISTS), strict=True))


def test_every_other_claim_has_a_twist():
    assert {claim.id for claim in all_claims().values() if claim.topic not in OTHER_TOPICS} == set(TWISTS)


@pytest.mark.parametrize("id", list(TWISTS))
def test_check_comes_out_both_ways(id: str, outcomes: dict[str, list[Seen | BaseException]]):
    for seen in outcomes[id]:
        if isinstance(seen, BaseException):
            raise seen
    assert {seen.holds for seen in outcomes[id] if isinstance(seen, Seen)} == {True, False}, outcomes[id]

"""Each check about traces, state, training, transformations and shapeless comes out both ways."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from guide import all_claims
from test_claims_twisted import TOPICS as OTHER_TOPICS
from test_claims_twisted import check, skip_where_it_is_not_asked
from twists_core import FIXED, TWISTS

from compile_guide.ledger.claims import Seen

Runs = dict[str, list[Future[Seen]]]


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Each check on the installed MLX and on a twisted one, running ahead of the tests that wait for them."""
    root = tmp_path_factory.mktemp("twists")
    chosen = {item.name for item in request.session.items}
    with ThreadPoolExecutor(2) as pool:
        yield {
            id: [pool.submit(check, id, lines, root / f"{id}-{n}") for n, lines in enumerate(("", twist))]
            for id, twist in TWISTS.items()
            if f"test_check_comes_out_both_ways[{id}]" in chosen
        }
        pool.shutdown(cancel_futures=True)


def test_every_other_claim_has_a_twist():
    assert {claim.id for claim in all_claims().values() if claim.topic not in OTHER_TOPICS} == {
        *TWISTS,
        *FIXED,
    }


@pytest.mark.parametrize("id", list(TWISTS))
def test_check_comes_out_both_ways(id: str, runs: Runs):
    seen = [run.result() for run in runs[id]]
    skip_where_it_is_not_asked(seen[0], [TWISTS[id]])
    assert {one.holds for one in seen} == {True, False}, seen


@pytest.mark.parametrize("id", list(FIXED))
def test_check_that_no_twist_turns_is_decided(id: str, tmp_path_factory: pytest.TempPathFactory):
    assert check(id, "", tmp_path_factory.mktemp("fixed") / id).holds is False

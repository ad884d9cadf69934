"""Claims about what reads beyond an array's end give one answer, whatever the memory there held before."""

import mlx.core as mx
import pytest

from claims import shapeless_frozen
from claims.shapeless import counting, second_size


@pytest.mark.parametrize("name", shapeless_frozen._cases(mx))
def test_wrong_stays_wrong_where_the_plain_function_ran_before(name: str) -> None:
    fun, sizes = shapeless_frozen._cases(mx)[name], shapeless_frozen._sizes(name)
    seen = set()
    for repeat in range(20):
        for _ in range(1 + repeat % 6):
            mx.eval(fun(counting(mx, *sizes[1])))
        seen.add(second_size(mx, fun, *sizes)[0])
    assert seen == {"wrong"}

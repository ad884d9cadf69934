"""How good is the estimator of :mod:`compile_guide.timing`?  The same ratio, estimated by us and by others.

``nox -s bench`` gives each estimator the same time on the same workload, many times over, each time in processes of
their own, and keeps every estimate in ``docs/bench/``. The page about it is made from that file.
"""

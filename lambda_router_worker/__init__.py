"""The worker: takes jobs from the queue, has a backend process them, writes the results. Runs beside the GPU.

A handler imports from here, and from nowhere else in this package::

    from lambda_router_worker import JobFailed, TryAgain, UnsupportedType

``cli`` puts the parts together, ``processing`` is the loop, ``backend`` speaks to a model server, ``queue`` to Redis,
and ``operations`` answers operators and supervisors. Imports point one way (``pyproject.toml``, ``worker-layers``).
"""

from lambda_router_worker.outcomes import JobFailed, TryAgain, UnsupportedType

__all__ = ["JobFailed", "TryAgain", "UnsupportedType"]

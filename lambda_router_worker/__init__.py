"""The worker: takes jobs from the queue, has a backend process them and writes the results. It runs beside the GPU.

Handlers import from this module, and from nowhere else in this package: ``__all__`` is what a version promises to the
next one (docs/operations.md#what-a-handler-may-import)::

    from lambda_router_worker import Job, JobFailed, TryAgain, UnsupportedType

``cli`` assembles the parts, ``processing`` is the main loop, ``backend`` talks to a model server, ``queue`` to Redis,
and ``operations`` serves operators and supervisors. Imports point one way (``pyproject.toml``, ``worker-layers``).
"""

from lambda_router_worker.job import Delta, Job
from lambda_router_worker.outcomes import BadOutcome, JobFailed, TryAgain, UnsupportedType

__all__ = ["BadOutcome", "Delta", "Job", "JobFailed", "TryAgain", "UnsupportedType"]

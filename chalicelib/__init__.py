"""What ships to AWS Lambda: the authenticated front door to a queue of inference jobs.

Read from the bottom up; imports point downwards only (import-linter proves it; the layers stand in pyproject.toml)::

    routes                        one short function per route
    batches   middleware          many jobs at once · every answer: log line, metrics, problem+json
    verdicts   openapi            what admission decided, in HTTP's words · the document served
    wiring                        reads os.environ, builds the parts once per process
    auth   body   job_queue       token -> principal · bytes -> job · submit, look, cancel, list
    jwks   admission   job_records   redis_client     signing keys · the script's call · records · one connection
    flow   limits   job_types     place in line · rate headers · the registry of job types
    queue_keys                    the names of everything in Redis
    models   settings   observability
    errors                        every problem
"""

__version__ = "0.1.0"

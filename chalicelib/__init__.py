"""What ships to AWS Lambda: the authenticated front door to a queue of inference jobs.

Read from the bottom up; imports point downwards only (import-linter proves it)::

    routes                      one short function per route
    middleware   openapi        every answer: log line, metrics, problem+json · the document served
    wiring                      reads os.environ, builds the parts once per process
    auth   job_queue   body     token -> principal · admission, lookup, cancel · bytes -> job
    jwks   limits   parameters  signing keys · rate headers · secrets from SSM
    job_types                   the registry of job types
    models   queue_keys   settings   observability
    errors                      every problem
"""

__version__ = "0.1.0"

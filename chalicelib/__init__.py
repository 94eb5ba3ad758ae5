"""The Lambda function: the authenticated front door to a queue of inference jobs.

Read it from the bottom up. Imports point downwards only: import-linter enforces the layers in pyproject.toml::

    routes                        one short function per route
    batches   middleware          many jobs at once · every response: log line, metrics, problem+json
    verdicts   openapi            admission's decisions as HTTP · the OpenAPI document
    wiring                        reads os.environ, builds the parts once per process
    auth   body   job_queue       token -> principal · bytes -> job · submit, look, cancel, list
    jwks   admission   job_records   redis_client     signing keys · the script's call · records · Redis calls
    flow   limits   job_types     place in line · rate headers · the registry of job types
    queue_keys                    the names of all keys in Redis
    models   settings   observability
    errors                        every problem
"""

__version__ = "0.1.0"

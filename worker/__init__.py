"""The consumer: takes jobs from the queue, has a backend work them, writes the results. Runs beside the GPU.

Read from the bottom up; imports point downwards only (import-linter proves it)::

    cli                           python -m worker: options, signals
    health_probe   operations_cli   queue_metrics    GET /health · stats and dead letters · figures for CloudWatch
    consumer   operations         the loop: claim, sweep, promote, stop · what an operator asks of a queue
    job_run                       one job: start, work, keep the lease, write the outcome
    work_queue                    the worker side of the queue (lua/ beside it)
    openai_backend   handlers     what does the work: a model server, or a function
    encryption                    inputs decrypted, results encrypted
    model_probe                   whether a model server can do any job
    model_server   completion_stream    requests to a model server · its answers, as they come
    server_errors   server_trouble      whose fault an error is · what may be the server's
    outcomes   backoff            how a handler says that a job failed · how long to wait
"""

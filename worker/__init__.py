"""The consumer: takes jobs from the queue, has a backend work them, writes the results. Runs beside the GPU.

Read from the bottom up; imports point downwards only::

    cli                        python -m worker: options, signals
    consumer   health_probe    the loop: claim, work, renew, finish
    work_queue                 the worker side of the queue: claims, leases, final states (lua/ beside it)
    openai_backend   handlers  what does the work
    outcomes                   how a handler says that a job failed
"""

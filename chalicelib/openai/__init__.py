"""The OpenAI API, in terms of jobs: pure translation of requests into chat jobs, and of jobs into responses.

Nothing here is imported before the first request to one of its routes.
"""

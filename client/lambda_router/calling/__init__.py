"""Calls of a server for the commands ``chat``, ``jobs``, ``show`` and ``cancel``. Only ``commands`` imports these."""

"""The pages for people, at ``/`` and ``/docs``. ``chalicelib.api`` imports this once a page is requested.

A package without ``ROUTER_DOCS`` has neither this folder nor the routes.
"""

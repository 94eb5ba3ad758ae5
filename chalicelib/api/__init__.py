"""The HTTP surface: routes, parsing of requests, and responses. Only ``app`` imports it."""

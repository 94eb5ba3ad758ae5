"""The HTTP surface: routes, what they read and what they answer. Nothing else imports it but ``app``."""

"""``make deploy-dev``: one developer's stack by ``chalice deploy``."""

"""``make deploy-dev``: a developer's own stack, deployed by ``chalice deploy``."""

"""What moves callers from one version to another: apply, release, canary, rollback."""

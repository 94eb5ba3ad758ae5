"""The programs that move callers from one version to another: apply, release, canary, rollback."""

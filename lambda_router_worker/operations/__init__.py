"""What operators and supervisors ask: figures, dead letters, health, metrics."""

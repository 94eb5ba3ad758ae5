"""Services for operators and supervisors: figures, dead letters, health and metrics."""

"""The login of a person, for the command ``login`` only."""

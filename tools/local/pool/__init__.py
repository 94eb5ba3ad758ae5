"""A user pool on this machine that signs people and programs in as Cognito does: for ``make run`` and its callers."""

"""The IAM permissions that a plan needs, compared with those of its deployer."""

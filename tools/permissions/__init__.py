"""What a plan asks of IAM, against what its deployer may do."""

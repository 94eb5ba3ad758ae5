"""What the programs stand on: the repository, Terraform, AWS, findings, options. Imports nothing else of ``tools``."""

"""The base of the other packages: repository, Terraform, AWS, findings, options. Imports nothing else of ``tools``."""

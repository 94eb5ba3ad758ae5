"""The conversion of Chalice's Terraform document into one that current Terraform accepts."""

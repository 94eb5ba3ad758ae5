"""Chalice's Terraform document, made one that today's Terraform takes."""

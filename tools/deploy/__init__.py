"""Terraform's commands on the stack: init, plan, outputs, destroy. ``tools.release`` applies."""

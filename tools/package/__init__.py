"""``make package``: the function as a zip and the API as Terraform, checked and reproducible."""

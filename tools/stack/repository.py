"""Where this repository is, and the names of what ``make package`` writes into ``terraform/``."""

from pathlib import Path

ROOT = Path(__file__).parents[2]

ZIP, SUMS, SBOM, TERRAFORM = "deployment.zip", "deployment.zip.sha256", "deployment.cdx.json", "chalice.tf.json"

"""The location of this repository, and the names of the files that ``make package`` writes into ``terraform/``."""

from pathlib import Path

ROOT = Path(__file__).parents[2]

ZIP, SUMS, SBOM, TERRAFORM = "deployment.zip", "deployment.zip.sha256", "deployment.cdx.json", "chalice.tf.json"

"""The location of this repository, and the files that ``make package`` writes into ``terraform/``."""

from pathlib import Path

ROOT = Path(__file__).parents[2]

ZIP, SUMS, SBOM, TERRAFORM = "deployment.zip", "deployment.zip.sha256", "deployment.cdx.json", "chalice.tf.json"


def is_stack(folder: Path) -> bool:
    """Return whether the folder is the stack's own Terraform, and not one that contains it as a module."""
    return (folder / "settings.tf").is_file()


def package_folder(folder: Path) -> Path:
    """Return where ``make package`` has put the package of the stack that Terraform manages in this folder."""
    return folder if is_stack(folder) else ROOT / "terraform"

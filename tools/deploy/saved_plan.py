"""The plan that ``make plan`` kept: what it was made with, and whether that still lies beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tools.package.writer import sums_of
from tools.stack.options import Refused
from tools.stack.repository import SUMS, ZIP
from tools.stack.terraform import Terraform

PLAN = "it.tfplan"
_FUNCTION = "aws_lambda_function.api_handler"
_AGAIN = "make package && make plan"
_DIRTY = ".dirty"


@dataclass(frozen=True)
class SavedPlan:
    """What matters of a plan before it is applied.

    Attributes:
        code_sha256: of the zip that it was made with, in base64.
        build: what that zip says it is.
        moves_alias: whether the alias goes to the new version at once.
    """

    code_sha256: str
    build: str
    moves_alias: bool

    @classmethod
    def of(cls, terraform: Terraform) -> Self:
        """The plan in Terraform's folder.

        Raises:
            Refused: there is none, or it is not one that deploys.
            TerraformFailed: Terraform cannot read it.
        """
        if not (terraform.folder / PLAN).is_file():
            raise Refused(f"there is no {terraform.folder.name}/{PLAN}: make plan, and read it")
        return cls.shown(terraform.shown(Path(PLAN)))

    @classmethod
    def shown(cls, plan: dict[str, Any]) -> Self:
        """The same from ``terraform show -json``.

        Raises:
            Refused: the plan leaves no function.
        """
        resources = plan["planned_values"]["root_module"].get("resources", [])
        found = [each["values"] for each in resources if each["address"] == _FUNCTION]
        if not found:
            raise Refused(f"the plan leaves no {_FUNCTION}, so it is one to destroy: make destroy")
        planned = found[0]
        # Terraform keeps a variable as it was given: from a file true, from the command line "true".
        moves_alias = str(plan["variables"]["move_alias"]["value"]).lower() in {"true", "1"}
        return cls(planned["source_code_hash"], planned["description"], moves_alias)

    def refuse_dirty(self) -> None:
        """Raises Refused where nobody could build that zip again: it holds changes that are in no commit."""
        if self.build.endswith(_DIRTY):
            raise Refused(
                f"the plan is of build {self.build}, wanted one of a commit: with changes that are in no commit nobody"
                f" can tell what runs, nor build it again: git commit, then {_AGAIN}; to try it out all the same: make"
                " apply DIRTY=1"
            )

    def refuse_another_zip(self, folder: Path) -> None:
        """Raises Refused unless the packaged zip in the folder is the one that was planned."""
        if not (folder / ZIP).is_file() or not (folder / SUMS).is_file():
            raise Refused(f"there is no {folder.name}/{ZIP} with its {SUMS}: {_AGAIN}")
        sums, written = sums_of(folder / ZIP), (folder / SUMS).read_text()
        if sums.code_sha256 != self.code_sha256:
            raise Refused(
                f"{folder.name}/{ZIP} has the sha256 {sums.code_sha256} but the plan was made with {self.code_sha256}:"
                f" what was planned and read is not what would run: {_AGAIN}"
            )
        if written != sums.text(ZIP):
            raise Refused(
                f"{folder.name}/{SUMS} says {written.split()[0]} but the zip has {sums.hexadecimal}, so one of them was"
                f" changed after make package: {_AGAIN}"
            )

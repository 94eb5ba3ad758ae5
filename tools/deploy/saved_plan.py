"""The plan that ``make plan`` saved, and the check that the zip beside it is the one it was made with."""

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
    """The facts about a plan that matter before it is applied.

    Attributes:
        code_sha256: of the zip that it was made with, in base64.
        build: the build that the zip claims to be.
        moves_alias: whether the alias moves to the new version at once.
    """

    code_sha256: str
    build: str
    moves_alias: bool

    @classmethod
    def of(cls, terraform: Terraform) -> Self:
        """Return the plan in Terraform's folder.

        Raises:
            Refused: there is no plan, or it does not deploy the function.
            TerraformFailed: Terraform cannot read it.
        """
        if not (terraform.folder / PLAN).is_file():
            raise Refused(f"there is no {terraform.folder.name}/{PLAN}: make plan, and read it")
        return cls.shown(terraform.shown(Path(PLAN)))

    @classmethod
    def shown(cls, plan: dict[str, Any]) -> Self:
        """Return the plan from the output of ``terraform show -json``.

        Raises:
            Refused: the plan leaves no function.
        """
        resources = plan["planned_values"]["root_module"].get("resources", [])
        found = [each["values"] for each in resources if each["address"] == _FUNCTION]
        if not found:
            raise Refused(f"the plan leaves no {_FUNCTION}, so it would destroy the stack: make destroy")
        planned = found[0]
        # Terraform keeps a variable's type: true from a file, "true" from the command line.
        moves_alias = str(plan["variables"]["move_alias"]["value"]).lower() in {"true", "1"}
        return cls(planned["source_code_hash"], planned["description"], moves_alias)

    def refuse_dirty(self) -> None:
        """Raise Refused if the build has uncommitted changes, as nobody could build that zip again."""
        if self.build.endswith(_DIRTY):
            raise Refused(
                f"the plan is of build {self.build}, which has uncommitted changes: its code could not be identified or"
                f" rebuilt later: git commit, then {_AGAIN}; to deploy it anyway: make apply DIRTY=1"
            )

    def refuse_another_zip(self, folder: Path) -> None:
        """Raise Refused unless the folder's zip is the one that the plan was made with."""
        if not (folder / ZIP).is_file() or not (folder / SUMS).is_file():
            raise Refused(f"there is no {folder.name}/{ZIP} with its {SUMS}: {_AGAIN}")
        sums, written = sums_of(folder / ZIP), (folder / SUMS).read_text()
        if sums.code_sha256 != self.code_sha256:
            raise Refused(
                f"{folder.name}/{ZIP} has the sha256 {sums.code_sha256} but the plan was made with {self.code_sha256}:"
                f" the reviewed plan is not for the code that would run: {_AGAIN}"
            )
        if written != sums.text(ZIP):
            raise Refused(
                f"{folder.name}/{SUMS} says {written.split()[0]} but the zip has {sums.hexadecimal}, so one of them was"
                f" changed after make package: {_AGAIN}"
            )

"""``docs/permissions.md``: the permissions that each type of resource needs, and the reasons for unused ones."""

from collections.abc import Iterable

from tools.docs.markdown import NOTICE, code, table
from tools.permissions.excused import EXCUSED
from tools.permissions.table import KINDS, STATE, Kind, Needs

_PAGE = """# Permissions

{notice}

`terraform/bootstrap` creates the roles *plan* and *deploy*. They have the permissions that Terraform was seen to use,
those with a reason below, and no others. `tests/deploy/test_permissions.py` runs the real AWS provider through the
whole life of a stack, records each call and evaluates it against the roles' own policies. The test fails if a call is
not allowed, or if an action is neither used nor listed here. It also removes each action in turn, which must make a
call fail. The third role, *canary*, has the permissions for a rollback: `tests/unit/release/test_canary_role.py`.

Before anything is created, `make plan` compares the plan with the policies of the role that will apply it. That is
`ROLE=name`, or by default the current identity. To run this check alone:
`python -m tools.permissions terraform/it.tfplan`. It has the [usual exit statuses](deploy.md#exit-statuses). It reads
the role's policies and its permissions boundary. It does not read the policies of an organisation, a bucket or a key.

## Allowed, though no recorded run used it

{excused}

## What each type of resource needs

A plan needs only those actions under *Changed* that belong to its changes.

{kinds}

The state in S3 and its lock: {state}.
"""


def page() -> str:
    rows = []
    for each in EXCUSED:
        name = each.source.rpartition("/")[2].removesuffix(".html")
        rows.append((code(each.action), ", ".join(each.roles), each.reason, f"[{name}]({each.source})"))
    excused = table(("Action", "Role", "Why", "Source"), rows)
    kinds = table(("Type", "Read", "Created", "Changed", "Removed"), [_row(*each) for each in KINDS.items()])
    return _PAGE.format(notice=NOTICE, excused=excused, kinds=kinds, state=_actions(STATE))


def _row(name: str, kind: Kind) -> tuple[str, ...]:
    given = _all(kind.given.values())
    changed = (*kind.update, *given, *_all(kind.changed.values()), *_all(kind.dropped.values()))
    return code(name), _actions(kind.read), _actions((*kind.create, *given)), _actions(changed), _actions(kind.delete)


def _all(needs: Iterable[Needs]) -> Needs:
    return tuple(need for each in needs for need in each)


def _actions(needs: Needs) -> str:
    return ", ".join(code(action) for action in sorted({need.action for need in needs})) or "none"

"""``docs/permissions.md``: the permissions that each type of resource needs, and the reasons for unused ones."""

from collections.abc import Iterable

from tools.docs.markdown import NOTICE, code, table
from tools.permissions.excused import EXCUSED
from tools.permissions.table import KINDS, STATE, Kind, Needs

_PAGE = """# Permissions

{notice}

The roles that `terraform/bootstrap` makes, *plan* and *deploy*, may do what Terraform was seen to need and what has a
reason below, and nothing else. In `tests/deploy/test_permissions.py` the real AWS provider lives through a whole life,
each call is recorded, and the roles' own policies are asked about each. It fails on a call that is not allowed, on an
action that is neither used nor listed here, and, for every action in turn, when that action is taken away. The third
role, *canary*, may do what going back to an older version takes: `tests/unit/release/test_canary_role.py`.

`make plan` compares a plan with the policies of the role that will apply it (`ROLE=name`; without it, of the one that
is logged in) before anything is made. Alone: `python -m tools.permissions terraform/it.tfplan`. Its exit status
is [one of these](deploy.md#exit-statuses). It reads the role's policies and its boundary; it does not know what an
organisation forbids its accounts, nor the policy of a bucket or of a key.

## Allowed, though no recorded run used it

{excused}

## What each type of resource needs

Of the actions under *Changed*, a plan needs those of what it changes.

{kinds}

The state in S3 and its lock: {state}.
"""


def page() -> str:
    excused = table(
        ("Action", "Role", "Why", "Where that stands"),
        [
            (code(each.action), ", ".join(each.roles), each.reason, f"[{_name(each.source)}]({each.source})")
            for each in EXCUSED
        ],
    )
    kinds = table(("Type", "Read", "Created", "Changed", "Removed"), [_row(*each) for each in KINDS.items()])
    return _PAGE.format(notice=NOTICE, excused=excused, kinds=kinds, state=_actions(STATE))


def _name(source: str) -> str:
    return source.rpartition("/")[2].removesuffix(".html")


def _row(name: str, kind: Kind) -> tuple[str, ...]:
    given = _all(kind.given.values())
    changed = (*kind.update, *given, *_all(kind.changed.values()), *_all(kind.dropped.values()))
    return code(name), _actions(kind.read), _actions((*kind.create, *given)), _actions(changed), _actions(kind.delete)


def _all(needs: Iterable[Needs]) -> Needs:
    return tuple(need for each in needs for need in each)


def _actions(needs: Needs) -> str:
    return ", ".join(code(action) for action in sorted({need.action for need in needs})) or "none"

"""Checks that the stack's variables are complete and valid, and that shell, files and Terraform agree."""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.settings import Settings, SettingsError
from tools.docs import check, terraform
from tools.package.environment import LIMIT, filled, measured, of_streaming, too_large
from tools.stack.configured import Stack, Unknown
from tools.stack.findings import Finding, or_well

_WHY_IGNORED = "Terraform ignores it, so the intended variable keeps its default"


def variables(stack: Stack) -> Iterator[Finding]:
    """Yield Terraform's own verdict on the values, including its validation rules."""
    faults = [_refused(stack, said) for said in stack.diagnostics if said["severity"] == "error"]
    faults += [fault for said in stack.diagnostics if (fault := _undeclared(stack, said)) is not None]
    yield from or_well(faults, "variables", f"{len(stack.declared)} of Terraform's, all valid")


def _refused(stack: Stack, said: dict[str, Any]) -> Finding:
    detail = said["detail"].split("\n\n")[0].split(". Use a -var")[0]
    code = (said.get("snippet") or {}).get("code", "")
    named = re.search(r'variable "(\w+)"|var\.(\w+)|^\s*"?(\w+)"?\s*[=:]', f"{detail}\n{code}", re.MULTILINE)
    name = next(filter(None, named.groups()), "") if named else ""
    why = "terraform plan would reject it"
    return Finding(f"variable {name}".strip(), False, detail, "", why, _remedy(stack, name))


def _remedy(stack: Stack, name: str) -> str:
    """Return the command that sets the variable, with an example in place of the value, which only its owner knows."""
    if name not in stack.declared:
        return f"${{EDITOR:-vi}} {stack.path(stack.folder)}/*.tfvars"
    field = Settings.model_fields.get(name)
    example = field.examples[0] if field is not None and field.examples else "…"
    return stack.setting(name, example)


def _undeclared(stack: Stack, said: dict[str, Any]) -> Finding | None:
    found = re.search(r'named "(\w+)" but a value was found in file "([^"]+)"', said.get("detail", ""))
    if found is None:
        return None
    name, file = found[1], stack.folder / found[2]
    line = next(
        (number for number, text in enumerate(file.read_text().splitlines(), 1) if re.search(rf"\b{name}\b", text)), 1
    )
    near = _near(stack, name)
    fix = f"sed -i '{line}d' {stack.path(file)}"
    if near:
        fix = f"sed -i '{line}s/{name}/{near}/' {stack.path(file)}"
    elif file.suffix == ".json":  # a line may hold several variables
        fix = f"${{EDITOR:-vi}} {stack.path(file)}"
    said_so = f"{name} is not a variable" + (f"; did you mean {near}?" if near else "")
    return Finding(f"{stack.path(file)}:{line}", False, said_so, "", _WHY_IGNORED, fix)


def environment(stack: Stack) -> Iterator[Finding]:
    """Check for ``TF_VAR_…`` variables that Terraform silently ignores."""
    given = {name.removeprefix("TF_VAR_"): text for name, text in stack.environ.items() if name.startswith("TF_VAR_")}
    yield from or_well(_unread(stack, given), "TF_VAR_…", f"{len(given)}, none ignored")


def _unread(stack: Stack, given: Mapping[str, str]) -> Iterator[Finding]:
    for name in sorted(given):
        value = stack.values.get(name)
        if name not in stack.declared:
            near = _near(stack, name)
            found = "no such variable" + (f"; did you mean TF_VAR_{near}?" if near else "")
            renamed = f'export TF_VAR_{near}="$TF_VAR_{name}"; ' if near else ""
            fix = f"{renamed}unset TF_VAR_{name}"
            yield Finding(f"TF_VAR_{name}", False, found, "", _WHY_IGNORED, fix)
        elif isinstance(value, str) and value != given[name]:
            why = "a .tfvars file overrides it: the stack would be deployed with the other value"
            yield Finding(f"TF_VAR_{name}", False, repr(given[name]), repr(value), why, f"unset TF_VAR_{name}")


def _near(stack: Stack, name: str) -> str:
    return next(iter(difflib.get_close_matches(name, stack.declared, n=1, cutoff=0.8)), "")


def settings(stack: Stack) -> Iterator[Finding]:
    """Check that the function would start with Terraform's values: it checks more than Terraform's rules do."""
    if any(said["severity"] == "error" for said in stack.diagnostics):
        why, fix = "the function may refuse to start", "fix the variables, above"
        yield Finding("settings", ok=False, found="the variables are not valid yet", why=why, fix=fix, seen=False)
        return
    given = {name.upper(): stack.text(name) for name in terraform.variables()}
    try:
        Settings.from_environ({**given, "AWS_REGION": stack.region})
    except SettingsError as error:
        for line in str(error).splitlines()[1:]:
            found = re.match(r"\s*(?:([A-Z_]+): )?(.*)", line)
            name = (found and found[1]) or ""
            why = "the function would answer every request with 500, misconfigured"
            fix = _remedy(stack, name.lower()) if name else _remedy(stack, "cognito_region")
            yield Finding(f"setting {name}".strip(), False, found[2] if found else line, "", why, fix)
        return
    yield Finding("settings", ok=True, found="the function would start")


def size(stack: Stack) -> Iterator[Finding]:
    """Check that the variables fit into Lambda's limit."""
    stages = json.loads((stack.root / ".chalice/config.json").read_text(encoding="utf-8"))["stages"]
    variables = of_streaming(filled(stages["terraform"]["environment_variables"], stack.text))
    thing, fault = "size of the variables", too_large(variables)
    if fault is None:
        taken = measured(variables)
        yield Finding(thing, ok=True, found=f"{taken:,} of {LIMIT:,} bytes")
        return
    why = "apply would stop half-way: Lambda rejects the function (exceeded the 4KB limit)"
    yield Finding(thing, False, fault.found, "", why, fault.fix)


def places(stack: Stack) -> Iterator[Finding]:
    """Check that every file of the repository that lists settings lists them all."""
    findings = list(check.check(stack.root))
    yield from or_well(findings, "places of settings", f"{len(findings)}, all complete")


def shell(stack: Stack) -> Iterator[Finding]:
    """Check that the shell and ``.env`` describe the same stack as Terraform's variables."""
    path = stack.root / ".env"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    written = dict(re.findall(r"^(?:export +)?([A-Z_]+)=[\"']?(.*?)[\"']?$", text, re.MULTILINE))
    why = "this machine and the deployed function would accept different tokens, or use different stacks"
    faults = []
    for name in terraform.variables():
        wanted, upper = stack.text(name), name.upper()
        for place, values, fix in (
            ("the shell", stack.environ, f"export {upper}='{wanted}'"),
            (".env", written, f"sed -i 's|{upper}=.*|{upper}={wanted}|' .env"),
        ):
            if (found := values.get(upper, "")) not in ("", wanted):
                faults.append(Finding(f"{upper} in {place}", False, repr(found), repr(wanted), why, fix))
    yield from or_well(faults, "shell and .env", "no difference from Terraform's variables")


def region(stack: Stack) -> Iterator[Finding]:
    if not stack.region:
        raise Unknown("aws_region is not set")
    named = {name: stack.environ[name] for name in ("AWS_REGION", "AWS_DEFAULT_REGION") if stack.environ.get(name)}
    wrong = {name: value for name, value in named.items() if value != stack.region}
    for name, value in wrong.items():
        why = "commands typed by hand would use another region than the stack's"
        yield Finding(name, False, value, stack.region, why, f"export {name}={stack.region}")
    if not wrong:
        yield Finding("region", ok=True, found=stack.region)

"""Each thing that ``make package`` refuses, provoked once, and its message."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contract.repository import ROOT, page
from tools.package.bytecode import compile_all
from tools.package.chalice import chalice_package, environment, refuse_output
from tools.package.contents import shipped
from tools.package.routes import refuse_routes
from tools.package.source import CONFIG, copy_source, refuse_shell
from tools.package.wheelhouse import refuse_download
from tools.package.wheels import locked, refuse_wheels
from tools.package.writer import refuse_size
from tools.stack.refusal import Refusal

X86 = b"\x7fELF" + bytes(14) + (62).to_bytes(2, "little")
ARM = b"\x7fELF" + bytes(14) + (183).to_bytes(2, "little")
#: What Chalice says, word for word, of a package that it leaves out.
LEFT_OUT = """Creating deployment package.

Could not install dependencies:
hiredis==1.0.0
uvloop==0.14.0
You will have to build these yourself and vendor them in
the chalice vendor folder.
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with as much as Chalice reads."""
    root = tmp_path / "checkout"
    for name, text in {
        "app.py": "",
        "chalicelib/__init__.py": "",
        "requirements.txt": "",
        ".chalice/config.json": json.dumps({"stages": {"terraform": {}, "dev": {}}}),
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    subprocess.run(["git", "add", "."], cwd=root, check=True)
    return root


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """An unpacked package with one wheel, built for x86_64."""
    _wheel(tmp_path, "some_package-1.0", "cp313-cp313-manylinux_2_28_x86_64")
    (tmp_path / "some.cpython-313-x86_64-linux-gnu.so").write_bytes(X86)
    return tmp_path


def _wheel(folder: Path, name: str, tag: str) -> None:
    (folder / f"{name}.dist-info").mkdir()
    (folder / f"{name}.dist-info/WHEEL").write_text(f"Wheel-Version: 1.0\nTag: {tag}\n")


def _swagger(path: str, **operation: Any) -> dict[str, Any]:
    return {"paths": {path: {"get": operation}}}


def test_an_unknown_stage(checkout: Path, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"^stage 'typo' is not in .chalice/config.json: choose one of terraform, dev$"):
        copy_source(tmp_path / "copy", "typo", None, checkout)


def test_an_unknown_architecture(checkout: Path, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"^Lambda has no architecture 'mips': choose x86_64 or arm64$"):
        copy_source(tmp_path / "copy", "dev", "mips", checkout)


def test_a_file_that_is_not_tracked(checkout: Path, tmp_path: Path) -> None:
    (checkout / "chalicelib/new.py").touch()

    with pytest.raises(Refusal, match=r"^chalicelib/new.py is not tracked, so .*: git add it or remove it$"):
        copy_source(tmp_path / "copy", "dev", None, checkout)


def test_only_what_is_tracked_is_copied_and_the_architecture_set(checkout: Path, tmp_path: Path) -> None:
    (checkout / "secret.txt").touch()

    copy_source(tmp_path / "copy", "dev", "arm64", checkout)

    config = json.loads((tmp_path / "copy/.chalice/config.json").read_text())
    assert config["stages"] == {"terraform": {}, "dev": {"lambda_architecture": "arm64"}}
    assert not (tmp_path / "copy/secret.txt").exists()


def test_a_package_that_chalice_leaves_out_with_status_0() -> None:
    with pytest.raises(Refusal, match=r"^no wheel for Lambda's .* for hiredis==1.0.0, uvloop==0.14.0: choose"):
        refuse_output(0, LEFT_OUT)


def test_a_wheel_that_pip_cannot_have() -> None:
    said = "Looking in links\nERROR: Ignored: a\nERROR: No matching distribution found for uvloop==0.14.0\n"

    with pytest.raises(
        Refusal, match=r"^pip could not fetch .*: No matching distribution found for uvloop==0.14.0: if"
    ):
        refuse_download(1, said)


def test_a_wheel_that_is_not_the_locked_one(checkout: Path, tmp_path: Path) -> None:
    (checkout / "requirements.txt").write_text(f"six==1.17.0 --hash=sha256:{'0' * 64}\n")
    copy_source(tmp_path / "copy", "dev", "arm64", checkout)

    with pytest.raises(Refusal, match=r"^pip could not fetch .*(DO NOT MATCH THE HASHES|No matching distribution)"):
        chalice_package(tmp_path / "copy", "dev", tmp_path / "out")


def test_chalice_failing() -> None:
    with pytest.raises(Refusal, match=r"(?s)^chalice exited with status 1: .*SyntaxError: invalid syntax$"):
        refuse_output(1, "Traceback\nSyntaxError: invalid syntax\n")


def test_an_app_that_cannot_be_imported(checkout: Path, tmp_path: Path) -> None:
    (checkout / "app.py").write_text("import nothing_there")
    copy_source(tmp_path / "copy", "dev", None, checkout)

    with pytest.raises(Refusal, match=r"(?s)^chalice exited with status 2: .*No module named 'nothing_there'$"):
        chalice_package(tmp_path / "copy", "dev", tmp_path / "out")


def test_the_shell_does_not_decide_what_is_packaged() -> None:
    shell = {
        "ROUTER_CORS_ORIGIN": "*",
        "COGNITO_AUD": "a",
        "AWS_PROFILE": "gone",
        "PATH": "p",
        "AWS_REGION": "eu-west-1",
    }

    assert environment(shell) == {
        "PATH": "p",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The configuration as it is."""
    (tmp_path / CONFIG).parent.mkdir()
    (tmp_path / CONFIG).write_text(page(CONFIG))
    return tmp_path


def test_an_exported_origin_is_refused_and_told_where_it_belongs(tmp_path: Path) -> None:
    """As ``make package`` meets it."""
    command = [sys.executable, "-m", "tools.package", "--out", str(tmp_path)]
    shell = {**os.environ, "ROUTER_CORS_ORIGIN": "https://app.example.com"}  # noqa: TID251
    ran = subprocess.run(command, cwd=ROOT, env=shell, check=False, capture_output=True, text=True)

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("package: ROUTER_CORS_ORIGIN is 'https://app.example.com' in the shell, but stage")
    assert CONFIG in ran.stderr
    assert list(tmp_path.iterdir()) == []


def _spoken_of(source: Path, name: str) -> str:
    """Of a setting that is exported with another value than the stage's: the refusal, or what is said."""
    try:
        return " ".join(refuse_shell(source, "terraform", {name: "another"}))
    except Refusal as refusal:
        return str(refusal)


def test_no_exported_setting_is_passed_over_in_silence(source: Path) -> None:
    stage = json.loads((source / CONFIG).read_text())["stages"]["terraform"]["environment_variables"]

    for name, value in stage.items():
        said = _spoken_of(source, name)
        assert f"TF_VAR_{name.lower()}=" in said if "${var." in value else f"{name} is 'another' in the shell" in said


@pytest.mark.parametrize("shell", [{}, {"ROUTER_CORS_ORIGIN": ""}, {"COGNITO_CLIENT_ID": "smoke's"}, {"PATH": "/bin"}])
def test_a_shell_without_settings_is_not_spoken_of(source: Path, shell: dict[str, str]) -> None:
    assert list(refuse_shell(source, "terraform", shell)) == []


def test_a_value_that_the_stage_has_already_is_fine(source: Path) -> None:
    assert list(refuse_shell(source, "dev", {"ROUTER_QUEUE": "tinyllama"})) == []


def test_chalice_gets_a_region_where_the_shell_has_none() -> None:
    assert environment({})["AWS_DEFAULT_REGION"] == "us-east-1"


def test_a_whole_package_is_taken(whole: Path) -> None:
    refuse_wheels(whole, "some-package==1.0 \\\n    --hash=sha256:0\n", "x86_64", "python3.13")


def test_a_missing_package(whole: Path) -> None:
    with pytest.raises(Refusal, match=r"^other==2.0 of requirements.txt is not in the package: choose a version in"):
        refuse_wheels(whole, "other==2.0 \\\n", "x86_64", "python3.13")


def test_another_version_of_a_package(whole: Path) -> None:
    with pytest.raises(Refusal, match=r"^some-package==1.1 of requirements.txt is not in the package"):
        refuse_wheels(whole, "some-package==1.1\n", "x86_64", "python3.13")


@pytest.mark.parametrize("tag", ["cp312-cp312-manylinux_2_28_x86_64", "cp313-cp313-macosx_11_0_arm64", "py2-none-any"])
def test_a_wheel_for_something_else(tmp_path: Path, tag: str) -> None:
    _wheel(tmp_path, "a-1", tag)

    with pytest.raises(Refusal, match=rf"^a==1 is built for {tag}, which python3.13 on Lambda cannot load: choose"):
        refuse_wheels(tmp_path, "a==1\n", "x86_64", "python3.13")


@pytest.mark.parametrize("tag", ["py3-none-any", "cp37-abi3-manylinux_2_17_x86_64", "py2.py3-none-any"])
def test_a_wheel_that_fits(tmp_path: Path, tag: str) -> None:
    _wheel(tmp_path, "a-1", tag)

    refuse_wheels(tmp_path, "a==1\n", "x86_64", "python3.13")


@pytest.mark.parametrize(("head", "machine"), [(ARM, "arm64"), (b"\xcf\xfa\xed\xfe", "another system")])
def test_a_library_for_another_processor(tmp_path: Path, head: bytes, machine: str) -> None:
    (tmp_path / "a.abi3.so").write_bytes(head)

    with pytest.raises(Refusal, match=rf"^a.abi3.so is built for {machine} but the function runs on x86_64: choose"):
        refuse_wheels(tmp_path, "", "x86_64", "python3.13")


def test_a_library_for_another_python(tmp_path: Path) -> None:
    (tmp_path / "a.cpython-312-aarch64-linux-gnu.so").write_bytes(ARM)

    with pytest.raises(Refusal, match=r"^a.cpython-312-.* is not named for python3.13 \(.cpython-313-\* or .abi3.so\)"):
        refuse_wheels(tmp_path, "", "arm64", "python3.13")


def test_a_requirement_for_another_python_is_not_wanted() -> None:
    lines = "a==1 ; implementation_name == 'pypy' \\\n    --hash=sha256:0\nB==2 --hash=sha256:0 \\\n    # via a==1\n"

    assert locked(lines) == ["b==2"]


@pytest.mark.parametrize("path", ["/ping", "/sping", "/ping/"])
def test_a_route_that_is_api_gateways_own(path: str) -> None:
    with pytest.raises(Refusal, match=rf"^API Gateway reserves the route {path}: rename it to /health, or put"):
        refuse_routes(_swagger(path))


def test_such_a_route_below_a_prefix_is_taken() -> None:
    refuse_routes(_swagger("/v1/ping", summary="All $ and { are fine."))


@pytest.mark.parametrize("field", ["summary", "description"])
@pytest.mark.parametrize("mark", ["${", "%{"])
def test_a_docstring_that_terraform_would_read(field: str, mark: str) -> None:
    with pytest.raises(Refusal) as refused:
        refuse_routes(_swagger("/health", **{field: f"Costs {mark}x}}."}))

    assert str(refused.value) == (
        f"the docstring of the view behind GET /health contains {mark!r}, which begins an expression of Terraform:"
        " reword it"
    )


def test_a_zip_that_is_too_large() -> None:
    with pytest.raises(Refusal, match=r"^the zip has 50,000,001 bytes but Lambda's limit is 50,000,000: remove"):
        refuse_size(50_000_001, 1)


def test_an_unpacked_zip_that_is_too_large() -> None:
    with pytest.raises(Refusal, match=r"^the unpacked zip has 250,000,001 bytes but Lambda's limit is 250,000,000:"):
        refuse_size(50_000_000, 250_000_001)


def test_bytecode_for_another_runtime(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"^the function's runtime is python3.12 but this is python3.13, whose .*3.12$"):
        compile_all(tmp_path, "python3.12")


def test_a_source_that_does_not_compile(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def")

    with pytest.raises(Refusal, match=r"(?s)^a source does not compile, see below: fix it.*SyntaxError"):
        compile_all(tmp_path, "python3.13")


def test_a_package_without_the_app(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"^the package has no app.py: git add it, then make package again$"):
        shipped(tmp_path)


def test_a_pattern_that_matches_nothing_any_more(tmp_path: Path) -> None:
    for name in ("app.py", "chalicelib/__init__.py", "lambda_router_queue/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    with pytest.raises(Refusal, match=r"^\*\.pyi is no longer in the package: remove it from tools/package/content"):
        shipped(tmp_path)

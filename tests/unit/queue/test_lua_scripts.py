"""lambda_router_queue.lua_scripts: a script is its own file behind what it uses of the shared files."""

import json
import re
from pathlib import Path

import pytest
import redis

from chalicelib import jobs
from lambda_router_queue import lua_scripts
from lambda_router_queue.lua_scripts import LuaScript, assembled, load_script
from lambda_router_queue.models import MAX_ERROR_CODE_BYTES, MAX_ERROR_MESSAGE_BYTES
from lambda_router_worker.outcomes import JobFailed
from lambda_router_worker.queue.scripts import LUA

SHARED = Path(lua_scripts.__file__).parent / "lua"
#: Of the scripts that the function runs, the folder of each.
FOLDERS = {
    file.stem: folder
    for folder in (SHARED, jobs.LUA)
    for file in folder.glob("*.lua")
    if file not in lua_scripts.SHARED
}
NAMES = sorted(FOLDERS)

every_script = pytest.mark.parametrize("name", NAMES)


def _script(name: str) -> LuaScript:
    return load_script(name, folder=FOLDERS[name])


def test_there_are_scripts_to_admit_and_to_settle():
    assert {"admit", "settle"} <= set(NAMES)


@every_script
def test_a_script_ends_as_its_file_does_and_begins_with_its_flags(name: str):
    text, own = _script(name).text, (FOLDERS[name] / f"{name}.lua").read_text()
    flags, rest = own.split("\n", 1) if own.startswith("#!lua") else ("", own)
    assert text.startswith(flags)
    assert text.endswith(rest)


def test_a_script_is_given_what_it_uses_of_the_shared_parts_and_what_that_uses_and_nothing_else():
    used = ["local A = 1\nlocal B = 2", "local function two()\n  return B\nend"]
    shared = "\n\n".join(["-- Shared.", *used, "local function three()\n  return 3\nend"])
    own = "-- not three()\nreturn two()"
    assert assembled(f"#!lua\n{own}", shared).text == "\n\n".join(["#!lua\n" + used[0], used[1], own])


@pytest.mark.parametrize("file", [*lua_scripts.SHARED, LUA / "lease.lua"], ids=lambda file: file.name)
def test_no_shared_function_has_a_blank_line_in_it(file: Path):
    assert not re.search(r"\n\n[ \t]", file.read_text())


@every_script
def test_a_script_compiles_and_has_the_name_that_the_server_gives_it(name: str, db: redis.Redis):
    script = _script(name)
    assert db.script_load(script.text) == script.sha


@every_script
def test_a_script_is_ascii_so_that_no_locale_can_change_its_sha(name: str):
    assert _script(name).text.isascii()


@every_script
def test_a_script_names_no_key_of_its_own(name: str):
    code = [line.split("--")[0] for line in _script(name).text.splitlines()]
    assert not [line for line in code if "lr:" in line]


def test_a_script_of_another_folder_can_be_loaded(tmp_path: Path, db: redis.Redis):
    (tmp_path / "now.lua").write_text("#!lua\nreturn now_ms()")
    script = load_script("now", folder=tmp_path)
    seconds, _ = db.time()
    assert abs(db.eval(script.text, 0) - seconds * 1000) < 5_000


def test_a_script_that_does_not_exist_is_named():
    with pytest.raises(FileNotFoundError, match=r"nothing\.lua"):
        load_script("nothing")


@pytest.mark.parametrize(
    ("name", "bytes_in_python"), [("MESSAGE_BYTES", MAX_ERROR_MESSAGE_BYTES), ("CODE_BYTES", MAX_ERROR_CODE_BYTES)]
)
def test_scripts_and_python_cut_errors_alike(name: str, bytes_in_python: int):
    [in_lua] = re.findall(rf"^local {name} = (\d+)$", (SHARED / "record.lua").read_text(), re.MULTILINE)
    assert int(in_lua) == bytes_in_python


@pytest.mark.parametrize("character", ["x", "é", "東", "🗼"])
@pytest.mark.parametrize("before", range(4))
def test_a_message_is_cut_between_characters(tmp_path: Path, db: redis.Redis, character: str, before: int):
    (tmp_path / "cut.lua").write_text("#!lua\nreturn {short_message(ARGV[1]), short_error(ARGV[2])}")
    message = "x" * before + character * MAX_ERROR_MESSAGE_BYTES
    script = load_script("cut", folder=tmp_path)
    error = json.dumps({"code": "odd", "message": message})
    short, short_error = db.eval(script.text, 0, message, error)
    assert short == JobFailed("odd", message).message
    assert json.loads(short_error) == {"code": "odd", "message": short}
    assert MAX_ERROR_MESSAGE_BYTES - 4 < len(short.encode()) <= MAX_ERROR_MESSAGE_BYTES

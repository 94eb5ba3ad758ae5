"""chalicelib.lua_scripts: a script is its own file behind record.lua, known by the SHA-1 that the server gives it."""

from pathlib import Path

import pytest
import redis

from chalicelib import lua_scripts
from chalicelib.lua_scripts import load_script

FOLDER = Path(lua_scripts.__file__).parent / "lua"
NAMES = sorted(file.stem for file in FOLDER.glob("*.lua") if file.stem != "record")

every_script = pytest.mark.parametrize("name", NAMES)


def test_there_are_scripts_to_admit_and_to_settle():
    assert {"admit", "settle"} <= set(NAMES)


@every_script
def test_a_script_stands_behind_what_all_scripts_share(name: str):
    text = load_script(name).text
    shared = (FOLDER / "record.lua").read_text()
    own = (FOLDER / f"{name}.lua").read_text()
    flags, rest = own.split("\n", 1) if own.startswith("#!lua") else ("", own)
    assert text == "\n".join(part for part in (flags, shared, rest) if part)


@every_script
def test_a_script_compiles_and_has_the_name_that_the_server_gives_it(name: str, db: redis.Redis):
    script = load_script(name)
    assert db.script_load(script.text) == script.sha


@every_script
def test_a_script_is_ascii_so_that_no_locale_can_change_its_sha(name: str):
    assert load_script(name).text.isascii()


@every_script
def test_a_script_names_no_key_of_its_own(name: str):
    code = [line.split("--")[0] for line in load_script(name).text.splitlines()]
    assert not [line for line in code if "lr:" in line]


def test_a_script_of_another_folder_can_be_loaded(tmp_path: Path, db: redis.Redis):
    (tmp_path / "now.lua").write_text("#!lua\nreturn now_ms()")
    script = load_script("now", folder=tmp_path)
    seconds, _ = db.time()
    assert abs(db.eval(script.text, 0) - seconds * 1000) < 5_000


def test_a_script_that_does_not_exist_is_named():
    with pytest.raises(FileNotFoundError, match=r"nothing\.lua"):
        load_script("nothing")

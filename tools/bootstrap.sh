#!/bin/sh
# Makes .venv: Python 3.13 with the packages of requirements/dev.txt, each checked by its hash. `bootstrap.sh audit` makes
# .local/audit of requirements/audit.txt: programs whose own packages would not go with ours.
# Says nothing when that is already so. Speaks on stderr only, so `make token` prints a token and nothing else.
# .complete is written last: without it a folder counts as broken (an interrupted install) and is made anew.
set -eu

cd -- "$(dirname -- "$0")/.."
root=$(pwd -P)
name=${1:-dev}
requirements=requirements/$name.txt
case $name in dev) venv=.venv ;; *) venv=.local/$name ;; esac
stamp=$venv/.complete
log=.local/bootstrap-$name.log
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}" # a company proxy's certificate is in the system's store, not in uv's own

say() { printf '%s\n' "$*" >&2; }
die() { say "bootstrap: $*"; exit 1; }

# The folder is part of it: the programs in its bin/ hold its path, so a moved or copied checkout needs a new .venv.
wanted() { printf '%s\n' "$root"; cat .python-version "$requirements" | cksum; }

is_fresh() {
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(wanted)" ] && "$venv/bin/python" -c '' 2>/dev/null
}

# One install at a time. flock lets go by itself when its owner dies; without it (macOS) a folder is the lock.
lock() {
  mkdir -p .local
  if command -v flock >/dev/null; then
    exec 9>.local/bootstrap.lock
    flock -n 9 && return
    say "waiting for another install in this folder …"
    flock 9
    return
  fi
  waited=0
  until mkdir .local/bootstrap.lock.d 2>/dev/null; do
    [ $waited -gt 0 ] || say "waiting for another install in this folder …"
    [ $waited -lt 600 ] || die "another install has held .local/bootstrap.lock.d for 10 minutes; if none is running: rm -r .local/bootstrap.lock.d"
    waited=$((waited + 1))
    sleep 1
  done
  trap 'rmdir .local/bootstrap.lock.d' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

# Run a command quietly; what it had to say is kept in $log and its last lines are shown if it fails.
quietly() { "$@" >"$log" 2>&1 || { tail -n 5 "$log" | sed 's/^/  | /' >&2; return 1; }; }

# A Python that can start uv's install. Each name is tried, not only looked up: pyenv puts programs on PATH that refuse to run.
old_enough_python() {
  for name in python3 python3.13 python3.14 python3.12 python3.11 python3.10 python3.9 /usr/bin/python3; do
    "$name" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null && { echo "$name"; return; }
  done
  found=$(python3 --version 2>/dev/null) || die "no python3 that runs on PATH: install Python 3.13 (Debian/Ubuntu: apt install python3 python3-venv) and try again"
  die "$found is too old: install Python 3.9 or newer, best 3.13, and try again"
}

# Sets uv: the one on PATH, else the version and hash that requirements/dev.txt pins, in a small venv of its own.
# Left empty if it cannot be had: pip then does the work, slower.
find_uv() {
  uv=$(command -v uv) && [ "$uv" != "$root/.venv/bin/uv" ] && return
  uv=$root/.local/uv/bin/uv
  pin=$(sed -n '/^uv==/,/[^\\]$/p' requirements/dev.txt)
  version=$(expr "$pin" : 'uv==\([^ ]*\)')
  "$uv" --version 2>/dev/null | grep -qF "uv $version " && return
  say "installing uv …"
  python=$(old_enough_python) || exit
  quietly "$python" -m venv --clear .local/uv ||
    die "$python has no working venv module: install it (Debian/Ubuntu: apt install python3-venv), or install uv, and try again"
  printf '%s\n' "$pin" >.local/uv.txt
  quietly .local/uv/bin/python -m pip install --quiet --require-hashes -r .local/uv.txt || uv=
}

# Prints the program behind a name if it is Python 3.13; never the one inside .venv, which is about to be replaced.
python313_at() {
  "$1" -c 'import sys; print(sys._base_executable) if sys.version_info[:2] == (3, 13) else sys.exit(1)' 2>/dev/null
}

# On PATH, where uv looks, and among pyenv's versions, whose names on PATH work only while that version is selected.
find_python313() {
  for candidate in python3.13 "$("${uv:-false}" python find --system --no-python-downloads 3.13 2>/dev/null)" \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13.*/bin/python; do
    python313_at "$candidate" && return
  done
  fix="install Python 3.13 (pyenv install 3.13, brew install python@3.13, or your package manager) and try again"
  [ -n "$uv" ] || die "no Python 3.13 here, and uv, which could download it, could not be installed: $fix"
  say "downloading Python 3.13 …"
  quietly "$uv" python install 3.13 || die "no Python 3.13 here, and it could not be downloaded: $fix"
  "$uv" python find --managed-python 3.13
}

install_with_uv() {
  say "installing Python packages …"
  quietly "$uv" venv --quiet --clear --no-project --python "$python313" "$venv" &&
    quietly "$uv" pip sync --quiet --require-hashes --python "$venv/bin/python" "$requirements"
}

# uv does not read pip's configuration (a company mirror, a certificate, a folder of wheels); pip does.
install_with_pip() {
  say "installing Python packages with pip …"
  quietly "$python313" -m venv --clear "$venv" &&
    quietly "$venv/bin/python" -m pip install --quiet --no-deps --require-hashes -r "$requirements"
}

is_fresh && exit
lock
is_fresh && exit  # the install that was waited for did it

rm -f "$stamp"
find_uv
python313=$(find_python313)
{ [ -n "$uv" ] && install_with_uv; } || install_with_pip ||
  die "the packages of $requirements could not be installed (whole log: $log): check the network, a proxy, or pip's settings, and try again"
# What the function and the worker share lies in vendor/, where Chalice looks for it too; and the worker has a name to call it by.
if [ "$name" = dev ]; then
  "$venv/bin/python" -c 'import sys, sysconfig; print(sysconfig.get_path("purelib"))' >"$log"
  printf '%s\n%s\n' "$root" "$root/vendor" >"$(cat "$log")/lambda_router.pth"
  printf '#!/bin/sh\nexec "%s/%s/bin/python" -m lambda_router_worker "$@"\n' "$root" "$venv" >"$venv/bin/lambda-router-worker"
  chmod +x "$venv/bin/lambda-router-worker"
fi
wanted >"$stamp"

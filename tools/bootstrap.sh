#!/bin/sh
# Make .venv: Python 3.13 with the packages of requirements/dev.txt, each checked by its hash. `bootstrap.sh audit` makes
# .local/audit from requirements/audit.txt: programs whose dependencies conflict with ours.
# Print nothing if it is up to date, and print only to stderr, so that `make token` prints a token and nothing else.
# .complete is written last: a folder without it is an interrupted install, and is made again.
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

# The folder counts, too: the programs in bin/ contain its path, so a moved or copied checkout needs a new .venv.
wanted() { printf '%s\n' "$root"; cat .python-version "$requirements" | cksum; }

is_fresh() {
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(wanted)" ] && "$venv/bin/python" -c '' 2>/dev/null
}

# Allow one install at a time. flock is released when its owner dies; without flock (macOS) a folder is the lock.
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

# Run a command with its output in $log, and show the last lines if it fails.
quietly() { "$@" >"$log" 2>&1 || { tail -n 5 "$log" | sed 's/^/  | /' >&2; return 1; }; }

# Print a Python that can install uv. Each is run, not only looked up: pyenv puts programs on PATH that refuse to run.
old_enough_python() {
  for name in python3 python3.13 python3.14 python3.12 python3.11 python3.10 python3.9 /usr/bin/python3; do
    "$name" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null && { echo "$name"; return; }
  done
  found=$(python3 --version 2>/dev/null) || die "no python3 that runs on PATH: install Python 3.13 (Debian/Ubuntu: apt install python3 python3-venv) and try again"
  die "$found is too old: install Python 3.9 or newer, best 3.13, and try again"
}

# Set uv: the one on PATH, or the version and hash that requirements/dev.txt pins, in a small venv of its own.
# It is empty if uv cannot be installed: pip then does the work, more slowly.
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

# Print the program behind a name if it is Python 3.13; never the one inside .venv, which is about to be replaced.
python313_at() {
  "$1" -c 'import sys; print(sys._base_executable) if sys.version_info[:2] == (3, 13) else sys.exit(1)' 2>/dev/null
}

# Search PATH, where uv looks, and pyenv's versions, whose names on PATH work only while that version is selected.
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

# Unlike uv, pip reads pip's configuration (a company mirror, a certificate, a folder of wheels).
install_with_pip() {
  say "installing Python packages with pip …"
  quietly "$python313" -m venv --clear "$venv" &&
    quietly "$venv/bin/python" -m pip install --quiet --no-deps --require-hashes -r "$requirements"
}

is_fresh && exit
lock
is_fresh && exit  # by the install that held the lock

rm -f "$stamp"
find_uv
python313=$(find_python313)
{ [ -n "$uv" ] && install_with_uv; } || install_with_pip ||
  die "the packages of $requirements could not be installed (whole log: $log): check the network, a proxy, or pip's settings, and try again"
# vendor/ has the code that the function and the worker share; Chalice looks there, too. client/ has the callers' kit. Both
# programs get a command.
if [ "$name" = dev ]; then
  "$venv/bin/python" -c 'import sys, sysconfig; print(sysconfig.get_path("purelib"))' >"$log"
  printf '%s\n%s\n%s\n' "$root" "$root/vendor" "$root/client" >"$(cat "$log")/lambda_router.pth"
  for module in lambda_router lambda_router_worker; do
    program=$venv/bin/$(printf %s "$module" | tr _ -)
    printf '#!/bin/sh\nexec "%s/%s/bin/python" -m %s "$@"\n' "$root" "$venv" "$module" >"$program"
    chmod +x "$program"
  done
fi
wanted >"$stamp"

#!/usr/bin/env bash
# Makes a clone ready to run or to be tested: tools/setup.sh [run] [dev] [node] [web] [debian]
#
#   run     .venv with what the product needs
#   dev     .venv with that and the tools of the tests
#   node    derpman-node, derper and the relay image, in build/ (after run or dev)
#   web     the web pages, in web/dist; left out, and said so, where Node.js 20 is missing
#   debian  the Debian packages that only the system tests need
#
# Each part compares a digest of what it depends on with that of its last success: a second run
# does nothing and needs no network.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build/log
exec 9>build/.setup.lock
flock 9

say() { printf 'set-up: %s\n' "$*" >&2; }
fail() { say "$@"; exit 1; }
digest() { { printf '%s\n' "$PWD"; cat "$@"; } | sha256sum | cut -d' ' -f1; }
is_done() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }
is_root() { [ "$(id -u)" = 0 ]; }
works() { "$@" --version >/dev/null 2>&1; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  fail "Python 3.11 or newer is needed and was not found; name one with PYTHON=…"
}

make_venv() {
  local python
  python=$(find_python)
  say "making .venv with $("$python" --version)"
  rm -rf .venv
  "$python" -m venv .venv >build/log/venv 2>&1 && return
  rm -rf .venv
  if works uv; then
    uv venv --quiet --seed --python "$python" .venv
  elif is_root && command -v apt-get >/dev/null; then
    install_packages python3-venv # Debian ships `venv` without what it needs to bring pip
    "$python" -m venv .venv
  else
    fail "'$python -m venv' does not work here: $(tail -n 1 build/log/venv) (Debian: apt install python3-venv)"
  fi
}

install_python() {
  local stamp=.venv/.set-up-$1 lock=$2 want
  want=$(digest "$lock" pyproject.toml tools/setup.sh)
  if is_done "$stamp" "$want" && works .venv/bin/python; then return; fi
  works .venv/bin/python || make_venv
  say "installing the locked Python packages ($(grep -c '==' "$lock"))"
  if works uv; then
    VIRTUAL_ENV=.venv uv pip install --quiet --compile-bytecode --require-hashes --requirement "$lock"
    VIRTUAL_ENV=.venv uv pip install --quiet --no-deps --no-build-isolation --editable .
  else
    local pip=(.venv/bin/python -m pip --quiet --disable-pip-version-check install --use-pep517)
    "${pip[@]}" --require-hashes --requirement "$lock"
    "${pip[@]}" --no-deps --no-build-isolation --editable .
  fi
  echo "$want" >"$stamp"
}

build_node() {
  local stamp=build/.set-up-node want built
  want=$({
    tools/go version
    find node -type f ! -name '*_test.go' ! -path '*/testdata/*' -print0 | sort -z | xargs -0 cat
    cat derpman/servers/building.py
  } | digest -)
  for built in derpman-node derper relay-image.tar; do
    [ -s build/$built ] || want="$built is missing, $want"
  done
  if is_done "$stamp" "$want"; then return; fi
  say "building the node, derper and the relay image with $(tools/go version); minutes the first time"
  .venv/bin/derpman node build --to build --go tools/go >&2
  echo "${want##* }" >"$stamp"
}

has_nodejs() { node -e 'process.exit(+process.versions.node.split(".")[0] < 20 ? 1 : 0)' 2>/dev/null && works npm; }

build_web() {
  local stamp=build/.set-up-web want packages=build/.set-up-web-packages locked
  if ! has_nodejs; then
    say "Node.js 20 or newer is missing: the web pages are not built, the API works alone"
    [ "${WEB:-}" != needed ] || exit 1
    return 0
  fi
  locked=$(digest web/package-lock.json tools/setup.sh)
  if ! is_done $packages "$locked" || [ ! -d web/node_modules ]; then
    say "installing the locked packages of the web pages"
    # Scripts of packages do not run, and Playwright brings no browser of its own.
    PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm --prefix web ci --ignore-scripts --no-audit --no-fund \
      >build/log/npm 2>&1 || {
        tail -n 20 build/log/npm >&2
        [ "${WEB:-}" != needed ] || fail "npm ci failed; the whole log is build/log/npm"
        say "the packages of the web pages cannot be had (build/log/npm): the API works alone"
        return 0
      }
    echo "$locked" >$packages
  fi
  want=$({
    node --version
    find web -type f ! -path 'web/node_modules/*' ! -path 'web/dist/*' ! -path 'web/tests/*' \
      ! -name schema.d.ts -print0 | sort -z | xargs -0 cat
    cat openapi.json
  } | digest -)
  [ -s web/dist/index.html ] || want="web/dist is missing, $want"
  if is_done $stamp "$want"; then return; fi
  say "building the web pages"
  npm --prefix web run --silent build >build/log/web 2>&1 ||
    { tail -n 20 build/log/web >&2; fail "the web pages could not be built; the whole log is build/log/web"; }
  echo "${want##* }" >$stamp
}

# What the system tests use: a command or file that shows it is there, its package, what needs it.
needed_programs() {
  cat <<'T'
dockerd docker.io servers, containers, drills
iptables iptables servers, drills
ip iproute2 servers, drills
sshd openssh-server servers, drills
sudo sudo adding servers
mariadbd mariadb-server everything on MariaDB
redis-server redis-server Celery with Redis
initdb postgresql everything on PostgreSQL
chromium chromium the web pages in a browser
/usr/share/fonts/truetype/wqy/wqy-microhei.ttc fonts-wqy-microhei pictures of pages in Chinese
promtool prometheus alert rules, metrics
prometheus-alertmanager prometheus-alertmanager alerts on their way
nginx nginx-light the system behind a proxy
T
}

has_program() {
  local found
  case $1 in /*) [ -e "$1" ]; return ;; esac
  for found in "/usr/sbin/$1" "/usr/local/sbin/$1" /usr/lib/postgresql/*/bin/"$1"; do
    [ -x "$found" ] && return
  done
  command -v "$1" >/dev/null
}

install_packages() {
  local guard=/usr/sbin/policy-rc.d guarded=""
  say "installing Debian packages: $*"
  if [ ! -e $guard ]; then # the tests start private instances; a package must start none of its own
    printf '#!/bin/sh\nexit 101\n' >$guard
    chmod 755 $guard
    guarded=yes
  fi
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300) status=0
  { "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "$@"; } \
    >build/log/apt 2>&1 </dev/null || status=$?
  [ -z "$guarded" ] || rm -f $guard
  [ $status = 0 ] || { tail -n 20 build/log/apt >&2; fail "apt-get failed; the whole log is build/log/apt"; }
}

install_debian() {
  local program package tests missing=() lost=()
  while read -r program package tests; do
    has_program "$program" && continue
    missing+=("$package")
    lost+=("$package ($tests)")
  done < <(needed_programs)
  [ ${#missing[@]} = 0 ] && return
  if is_root && command -v apt-get >/dev/null; then
    install_packages "${missing[@]}"
    return
  fi
  say "not root, so these stay missing, and the tests in brackets will be skipped:"
  printf '  %s\n' "${lost[@]}" >&2
}

for part in "${@:-run}"; do
  case $part in
    run) is_done .venv/.set-up-dev "$(digest requirements-dev.lock pyproject.toml tools/setup.sh)" ||
      install_python run requirements.lock ;;
    dev) install_python dev requirements-dev.lock ;;
    node) build_node ;;
    web) build_web ;;
    debian) install_debian ;;
    *) fail "unknown part '$part'; the parts are: run dev node web debian" ;;
  esac
done

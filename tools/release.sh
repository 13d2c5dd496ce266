#!/usr/bin/env bash
# Makes build/release/derpman-<version>/ and the same as .tar.gz: all that a machine needs to run the
# system, without the internet: wheels of every locked package, the built programs, the built pages.
#
#   tools/release.sh            the folder and the archive
#   tools/release.sh --folder   the folder alone
#
# The wheels are for this Python version and this machine's architecture.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh dev node
WEB=needed tools/setup.sh web
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
name=derpman-$version
out=build/release/$name
rm -rf "$out" "$out.tar.gz"
mkdir -p "$out/programs" build/log
pip=(.venv/bin/python -m pip --quiet --disable-pip-version-check)
# Also what another release of this Python needs: Debian's 3.11.2 wants what 3.11.3 has itself.
sed -E "s/ ; python_full_version < '3.11.[0-9]+'//" requirements.lock >build/log/every-requirement
{
  # Wheels made once are kept: most releases change nothing but our own.
  "${pip[@]}" wheel --use-pep517 --require-hashes --no-deps --find-links build/wheels \
    --requirement build/log/every-requirement --wheel-dir build/wheels &&
  "${pip[@]}" wheel --no-deps --no-build-isolation --wheel-dir "$out/wheels" .
} >build/log/release 2>&1 || { tail -n 20 build/log/release >&2; exit 1; }
sed -nE 's/^([A-Za-z0-9_.-]+==.*[^ \\]) *\\$/\1/p' requirements.lock >"$out/requirements.txt"
cp -l build/wheels/*.whl "$out/wheels/"
cp build/derpman-node build/derper build/relay-image.tar build/relay-image.tar.label "$out/programs/"
cp -R web/dist "$out/web"
cp -R deploy "$out/deploy"
cp -R docs README.md README.zh-CN.md CHANGELOG.md "$out/" 
[ "${1:-}" = --folder ] || tar -C build/release -czf "$out.tar.gz" "$name"
echo "$out"

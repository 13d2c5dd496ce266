#!/bin/bash
# Runs a command beside a Docker daemon of its own, in network and mount
# namespaces of its own, so that containers on the host network have a
# loopback and ports that are nobody else's. Needs root and Debian's docker.io.
# Usage: with-dockerd.sh COMMAND...
set -eu
if [ "${1-}" != --inside ]; then
  exec unshare --net --mount --propagation private -- "$0" --inside "$@"
fi
shift
folder=$(mktemp -d /var/tmp/dockerd.XXXXXX)
mount -t tmpfs tmpfs /run
ip link set lo up
# Docker of Debian 12 wants a bridge network though no container here uses one.
dockerd --host unix:///run/docker.sock --data-root "$folder/data" --exec-root /run/docker-exec \
  --pidfile /run/docker.pid --cgroup-parent "/$(basename "$folder")" --iptables=false --bridge none \
  >"$folder/log" 2>&1 &
daemon=$!
finish() {
  docker --host unix:///run/docker.sock ps --all --quiet | xargs --no-run-if-empty docker --host unix:///run/docker.sock rm --force >/dev/null || true
  kill "$daemon" && wait "$daemon" || true
  umount --recursive "$folder/data" 2>/dev/null || true
  rm -rf "$folder"
}
trap finish EXIT
for _ in $(seq 100); do
  grep -q "API listen" "$folder/log" 2>/dev/null && break
  kill -0 "$daemon" || { cat "$folder/log" >&2; exit 1; }
  sleep 0.1
done
export DERPMAN_TEST_DOCKER_HOST=unix:///run/docker.sock
"$@"

#!/usr/bin/env bash
# Makes this machine (Debian 12, root) one that runs DERP Management: MariaDB, Redis, two API
# processes, two workers, Nginx with TLS, and, if wanted, Prometheus and Alertmanager.
#
#   deploy/install.sh                 asks five questions
#   deploy/install.sh --answers FILE  takes the answers from a file: lines NAME=value, for NAME one of
#                                     SITE, ADMIN_EMAIL, SMTP, CERTIFICATE, MONITORING
#
# Run again it brings a newer version into place and changes no answer that was given before; what
# cannot be done twice is done once. From a clone it builds first (Python 3.11, Node.js 20, Go, and
# the internet); from the folder that tools/release.sh makes it needs nothing but Debian's packages.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
etc=/etc/derpman opt=/opt/derpman var=/var/lib/derpman
env=$etc/derpman.env answers=$etc/answers

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
fail() { printf 'install: %s\n' "$*" >&2; exit 1; }
random() { openssl rand -hex "$1"; }

[ "$(id -u)" = 0 ] || fail "run it as root, as it installs packages and services"
command -v apt-get >/dev/null || fail "this needs Debian: apt-get is not here"
command -v systemctl >/dev/null || fail "this needs systemd: systemctl is not here"

given() { sed -n "s/^$1=//p" "$answers" 2>/dev/null | tail -n 1; }

ask() { # NAME "question" "default"
  local value
  value=$(given "$1")
  if [ -z "$value" ] && ! grep -q "^$1=" "$answers" 2>/dev/null; then
    if [ -n "$file" ]; then
      value=$(sed -n "s/^$1=//p" "$file" | tail -n 1)
    else
      read -r -p "$2${3:+ [$3]} " value
    fi
    value=${value:-$3}
    case $value in *[\"\`\$\\]*) fail "$1: the characters \" \` \$ \\ cannot be used here" ;; esac
    printf '%s=%s\n' "$1" "$value" >>"$answers"
  fi
  printf -v "$1" '%s' "$value"
}

file=""
case ${1:-} in
  --answers) file=${2:-}; [ -r "$file" ] || fail "the file with answers cannot be read: $file" ;;
  "") ;;
  *) sed -n '2,14p' "$0"; exit 2 ;;
esac

install -d -m 750 $etc
touch $answers && chmod 600 $answers
say "1. Five questions"
ask SITE "Under which name (or address) do customers reach the site?" "$(hostname -f 2>/dev/null || hostname)"
ask ADMIN_EMAIL "E-mail address of the first administrator?" ""
[[ $ADMIN_EMAIL == *@*.* ]] || { sed -i '/^ADMIN_EMAIL=/d' $answers; fail "that is no e-mail address: '$ADMIN_EMAIL'"; }
ask SMTP "Mail server, as smtp://user:password@host:587, smtps://…:465 or plain://host:25 (empty: later)?" ""
ask CERTIFICATE "Certificate: two files 'FULLCHAIN.pem KEY.pem', or 'self' for one of our own?" "self"
ask MONITORING "Install Prometheus and Alertmanager here (yes or no)?" "yes"

say "2. Debian packages"
packages=(python3 python3-venv mariadb-server redis-server nginx-light openssl ca-certificates)
[ "$MONITORING" = no ] || packages+=(prometheus prometheus-alertmanager)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
    missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get -q update
  apt-get -q -y install --no-install-recommends "${missing[@]}"
else
  echo "all there"
fi

say "3. Program"
release=$here
if [ ! -d "$here/wheels" ]; then
  release=$("$here/tools/release.sh" --folder | tail -n 1)
  release=$here/$release
fi
getent passwd derpman >/dev/null ||
  useradd --system --home-dir $var --shell /usr/sbin/nologin derpman
chgrp derpman $etc
install -d -m 750 -o derpman -g derpman $var
install -d -m 755 $opt
# A new version beside the one that runs; the change is one rename.
fresh=$opt/venv.new
rm -rf $fresh
/usr/bin/python3 -m venv $fresh
$fresh/bin/python -m pip --quiet --disable-pip-version-check install --no-index \
  --find-links "$release/wheels" --requirement "$release/requirements.txt" derpman
# Programs of a virtual environment name their interpreter by its whole path.
find $fresh/bin -type f -exec sed -i "1s|$fresh/bin/python|$opt/venv/bin/python|" {} +
for part in programs web docs deploy; do
  rm -rf "$opt/$part.new"
  cp -R "$release/$part" "$opt/$part.new"
done
for part in venv programs web docs deploy; do
  rm -rf "$opt/$part.old"
  [ ! -e "$opt/$part" ] || mv "$opt/$part" "$opt/$part.old"
  mv "$opt/$part.new" "$opt/$part"
  rm -rf "$opt/$part.old"
done
cat >/usr/local/bin/derpman <<'T'
#!/bin/sh
# `derpman` as the system's own user, with the system's settings.
set -a
. /etc/derpman/derpman.env
set +a
cd /var/lib/derpman || exit 1
[ "$(id -un)" = derpman ] && exec /opt/derpman/venv/bin/derpman "$@"
exec runuser -u derpman -- /opt/derpman/venv/bin/derpman "$@"
T
chmod 755 /usr/local/bin/derpman
$opt/venv/bin/derpman --help >/dev/null
echo "in $opt"

say "4. Database and Redis"
pool=$(awk '/^MemTotal:/ { mb = int($2 / 1024 / 4); print (mb < 128 ? 128 : mb) "M" }' /proc/meminfo)
sed "s/@POOL@/$pool/" $opt/deploy/mariadb/60-derpman.cnf >/etc/mysql/mariadb.conf.d/60-derpman.cnf
systemctl enable mariadb redis-server
systemctl restart mariadb
systemctl start redis-server
for _ in $(seq 120); do mariadb-admin ping >/dev/null 2>&1 && break; sleep 0.5; done
mariadb-admin ping >/dev/null || fail "MariaDB does not answer: see journalctl -u mariadb"
if [ ! -s $env ]; then
  password=$(random 24)
  mariadb <<T
CREATE DATABASE IF NOT EXISTS derpman CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE OR REPLACE USER 'derpman'@'localhost' IDENTIFIED BY '$password';
GRANT ALL PRIVILEGES ON derpman.* TO 'derpman'@'localhost';
T
  scheme=${SMTP%%://*} rest=${SMTP#*://} security=none user="" secret=""
  case $scheme in smtp) security=starttls ;; smtps) security=tls ;; esac
  [[ $rest != *@* ]] || { user=${rest%@*}; rest=${rest##*@}; secret=${user#*:}; user=${user%%:*}; }
  host=${rest%%:*} port=${rest##*:}
  umask 077
  cat >$env.new <<T
# Settings of DERP Management; all of them are explained in /opt/derpman/docs/settings.md.
# After a change: systemctl restart 'derpman-api@*' 'derpman-worker@*'
DERPMAN_PUBLIC_URL="https://$SITE"
DERPMAN_DATA_DIR="$var"
DERPMAN_BUILD_DIR="$opt/programs"
DERPMAN_WEB_DIR="$opt/web"
DERPMAN_DATABASE_URL="mysql+pymysql://derpman:$password@localhost/derpman?unix_socket=/run/mysqld/mysqld.sock"
DERPMAN_REDIS_URL="redis://127.0.0.1:6379/0"
DERPMAN_TRUSTED_PROXIES="127.0.0.1"
DERPMAN_LOG_JSON="true"
DERPMAN_METRICS_TOKEN="$(random 24)"
DERPMAN_SMTP_HOST="${SMTP:+$host}"
DERPMAN_SMTP_PORT="${SMTP:+$port}"
DERPMAN_SMTP_SECURITY="${SMTP:+$security}"
DERPMAN_SMTP_USERNAME="$user"
DERPMAN_SMTP_PASSWORD="$secret"
DERPMAN_MAIL_FROM="DERP Management <noreply@$SITE>"
T
  [ -n "$SMTP" ] || sed -i '/^DERPMAN_SMTP_/d' $env.new
  chgrp derpman $env.new && chmod 640 $env.new
  mv $env.new $env
  umask 022
fi
derpman db upgrade

say "5. Services"
install -m 644 $opt/deploy/systemd/* /etc/systemd/system/
systemctl daemon-reload
systemctl enable --now derpman-api@8001.socket derpman-api@8002.socket
for unit in derpman-api@8001 derpman-api@8002 derpman-worker@1 derpman-worker@2; do
  systemctl enable $unit
  systemctl restart $unit # one after the other: no request fails while this is an upgrade
done
for _ in $(seq 120); do
  up=0
  for port in 8001 8002; do
    /usr/bin/python3 - $port 2>/dev/null <<'T' && up=$((up + 1))
import sys, urllib.request
urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/readyz", timeout=5)
T
  done
  [ $up = 2 ] && break
  sleep 0.5
done
[ "$up" = 2 ] || fail "the API is not ready: see journalctl -u derpman-api@8001"
echo "two API processes are ready"

say "6. Nginx"
if [ "$CERTIFICATE" = self ]; then
  certificate=$etc/tls.crt key=$etc/tls.key
  if [ ! -s $key ]; then
    kind=DNS
    [[ ! $SITE =~ ^[0-9.]+$ && $SITE != *:* ]] || kind=IP
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 825 \
      -subj "/CN=$SITE" -addext "subjectAltName=$kind:$SITE" -keyout $key -out $certificate 2>/dev/null ||
      fail "openssl could not make a certificate for $SITE"
    chmod 600 $key
  fi
else
  read -r certificate key <<<"$CERTIFICATE"
  [ -r "$certificate" ] && [ -r "$key" ] || fail "certificate or key cannot be read: $CERTIFICATE"
fi
sed -e "s|@NAME@|$SITE|g" -e "s|@CERTIFICATE@|$certificate|" -e "s|@KEY@|$key|" \
  $opt/deploy/nginx/derpman.conf >/etc/nginx/conf.d/derpman.conf
rm -f /etc/nginx/sites-enabled/default
nginx -t -q
systemctl enable nginx
systemctl reload-or-restart nginx

if [ "$MONITORING" != no ]; then
  say "7. Prometheus and Alertmanager"
  token=$(sed -n 's/^DERPMAN_METRICS_TOKEN="\(.*\)"/\1/p' $env)
  for part in prometheus/prometheus.yml prometheus/rules.yml alertmanager/alertmanager.yml; do
    target=/etc/prometheus/${part##*/}
    if [ -e "$target" ] && ! cmp -s "$opt/deploy/$part" "$target" && [ ! -e "$target.before-derpman" ]; then
      cp -p "$target" "$target.before-derpman"
    fi
    install -m 644 "$opt/deploy/$part" "$target"
  done
  install -m 640 -g prometheus /dev/null /etc/prometheus/metrics.token
  printf %s "$token" >/etc/prometheus/metrics.token
  echo 'ARGS="--web.listen-address=127.0.0.1:9090 --storage.tsdb.retention.time=90d"' >/etc/default/prometheus
  echo 'ARGS="--web.listen-address=127.0.0.1:9093 --cluster.listen-address="' >/etc/default/prometheus-alertmanager
  systemctl enable prometheus prometheus-alertmanager
  systemctl restart prometheus prometheus-alertmanager
fi

say "8. Administrator"
if [ ! -e $etc/admin-created ]; then
  derpman admin create admin "$ADMIN_EMAIL" --super
  touch $etc/admin-created
else
  echo "was made before"
fi

say "DERP Management runs: https://$SITE"
[ "$CERTIFICATE" != self ] ||
  echo "The certificate is our own: browsers warn until you put a real one into $answers and run this again."
[ -n "$SMTP" ] || echo "No mail server is set, so nobody can register: see DERPMAN_SMTP_ in $env."
echo "Keep a copy of $var/secret.key somewhere else: without it no server's key and no backup can be read."
echo "Next: log in, enter servers under Servers; /opt/derpman/docs/operations.md goes on from there."

#!/bin/sh
# Prepares a bare Debian, Ubuntu or Alibaba Cloud Linux server for carrying relays. Run as root.
#
#   look                            print what the server is and has, as key=value lines
#   docker                          install Docker where it is missing; see that it answers
#   account PUBLIC_KEY              the user derpman: this key may speak to the node, nothing else
#   program SHA256                  install derpman-node, gzipped on standard input
#   service RELEASE_KEY             write its configuration and unit, and start it
#   host_keys                       print the server's SSH host keys
#
# Every verb may be run again. An error is one line, "derpman-error CODE MESSAGE", and status 20.
# Nothing is fetched but packages of the distribution; Alibaba Cloud Linux has Docker's own
# packages on its mirror.
set -eu
LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
umask 022

program=/usr/local/bin/derpman-node
config=/etc/derpman-node.json
unit=/etc/systemd/system/derpman-node.service
state=/var/lib/derpman
home=/home/derpman

fail() {
    code=$1
    shift
    printf 'derpman-error %s %s\n' "$code" "$(printf '%s' "$*" | tr '\n' ' ' | cut -c1-400)" >&2
    exit 20
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# A file appears whole or not at all, also when the power fails.
write() {
    path=$1 mode=$2
    cat >"$path.new" || fail bootstrap.disk_full "cannot write $path"
    chmod "$mode" "$path.new"
    sync "$path.new" 2>/dev/null || sync
    mv -f "$path.new" "$path"
}

distribution() {
    (
        ID=unknown ID_LIKE='' VERSION_ID='' PRETTY_NAME=''
        [ ! -r /etc/os-release ] || . /etc/os-release
        case "$1" in
        id) echo "$ID" ;;
        like) echo "$ID $ID_LIKE" ;;
        name) echo "${PRETTY_NAME:-$ID $VERSION_ID}" ;;
        esac
    )
}

docker_says() {
    docker "$1" --format "$2" 2>/dev/null </dev/null || true
}

checksum() {
    [ ! -f "$1" ] || sha256sum "$1" | cut -d ' ' -f 1
}

look() {
    echo "uid=$(id -u)"
    echo "os=$(distribution id)"
    echo "os_name=$(distribution name)"
    echo "arch=$(uname -m)"
    echo "kernel=$(uname -r)"
    echo "memory_bytes=$(awk '/^MemTotal:/ {print $2 * 1024}' /proc/meminfo)"
    echo "disk_free_bytes=$(df -P -k /var/lib | awk 'NR == 2 {print $4 * 1024}')"
    echo "clock=$(date +%s)"
    if has systemctl; then echo systemd=yes; else echo systemd=no; fi
    if has apt-get; then echo packages=apt; elif has dnf; then echo packages=dnf
    elif has yum; then echo packages=yum; else echo packages=none; fi
    if has docker; then
        echo "docker=$(docker_says version '{{.Server.Version}}')"
        echo "live_restore=$(docker_says info '{{.LiveRestoreEnabled}}')"
    fi
    echo "program_sha256=$(checksum $program)"
}

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" \
        </dev/null >/tmp/derpman-packages.log 2>&1
}

install_with_apt() {
    apt update || fail bootstrap.packages_failed "apt-get update: $(tail -n 3 /tmp/derpman-packages.log)"
    wanted='docker.io apparmor'
    # Newer releases have the command line in a package of its own.
    if apt-cache show docker-cli >/dev/null 2>&1; then wanted="$wanted docker-cli"; fi
    # shellcheck disable=SC2086 # words on purpose
    apt install --no-install-recommends $wanted ||
        fail bootstrap.packages_failed "apt-get install: $(tail -n 3 /tmp/derpman-packages.log)"
}

dnf_or_yum() {
    if has dnf; then dnf -q -y "$@"; else yum -q -y "$@"; fi </dev/null >/tmp/derpman-packages.log 2>&1
}

install_with_dnf() {
    if ! dnf_or_yum list docker-ce; then
        case "$(distribution like)" in
        *alinux* | *anolis*)
            dnf_or_yum install dnf-plugin-releasever-adapter --repo alinux3-plus || true
            mirror=https://mirrors.aliyun.com/docker-ce/linux/centos/docker-ce.repo
            dnf_or_yum install dnf-plugins-core yum-utils || true
            { has dnf && dnf_or_yum config-manager --add-repo "$mirror"; } ||
                { has yum-config-manager && yum-config-manager --add-repo "$mirror" >/dev/null; } ||
                fail bootstrap.packages_failed "cannot add Docker's packages: $(tail -n 3 /tmp/derpman-packages.log)"
            ;;
        esac
    fi
    dnf_or_yum install docker-ce --nobest || dnf_or_yum install docker-ce || dnf_or_yum install docker ||
        fail bootstrap.packages_failed "dnf install: $(tail -n 3 /tmp/derpman-packages.log)"
}

# Relays must outlive a restart of dockerd.
keep_relays_over_restarts() {
    [ ! -e /etc/docker/daemon.json ] || return 0
    [ "$(docker_says info '{{.LiveRestoreEnabled}}')" != true ] || return 0
    [ "$(docker_says info '{{.Swarm.LocalNodeState}}')" != active ] || return 0
    mkdir -p /etc/docker
    echo '{"live-restore": true}' | write /etc/docker/daemon.json 644
    if [ -n "$(docker_says version '{{.Server.Version}}')" ]; then
        systemctl reload docker || true
    fi
}

install_docker() {
    if ! has docker; then
        keep_relays_over_restarts
        if has apt-get; then install_with_apt
        elif has dnf || has yum; then install_with_dnf
        else fail bootstrap.os_unsupported "$(distribution name)"; fi
    fi
    systemctl enable --now docker >/dev/null 2>&1 || true
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
        version=$(docker_says version '{{.Server.Version}}')
        [ -z "$version" ] || break
        sleep 1
    done
    [ -n "$version" ] || fail bootstrap.docker_not_running \
        "$( (journalctl -u docker -n 5 --no-pager -o cat || systemctl status docker) 2>/dev/null | tail -n 5)"
    keep_relays_over_restarts
    echo "docker=$version"
    echo "live_restore=$(docker_says info '{{.LiveRestoreEnabled}}')"
}

account() {
    getent group derpman >/dev/null || groupadd --system derpman
    if ! id -u derpman >/dev/null 2>&1; then
        useradd --system --gid derpman --home-dir $home --no-create-home --shell /bin/sh derpman
    fi
    # No password, yet not locked: without PAM sshd refuses locked accounts.
    usermod --password '*' --home $home --shell /bin/sh derpman
    # All of it is root's, so that nothing reached through this account can widen its own right.
    mkdir -p $home/.ssh
    chown root:root $home $home/.ssh
    chmod 755 $home $home/.ssh
    echo "restrict,command=\"$program stdio\" $1" | write $home/.ssh/authorized_keys 644
    if has restorecon; then restorecon -R $home || true; fi
}

install_program() {
    if [ "$(checksum $program)" = "$1" ]; then
        cat >/dev/null
        return 0
    fi
    mkdir -p "${program%/*}"
    gzip -dc >$program.new 2>/tmp/derpman-unpack.log ||
        fail bootstrap.disk_full "cannot write $program: $(cat /tmp/derpman-unpack.log)"
    [ "$(checksum $program.new)" = "$1" ] || fail bootstrap.damaged "$program arrived damaged"
    chmod 755 $program.new
    $program.new version >/dev/null 2>&1 ||
        fail bootstrap.wrong_architecture "derpman-node does not run on $(uname -m)"
    sync
    mv -f $program.new $program
}

service() {
    mkdir -p $state
    chmod 700 $state
    write $config 644 <<EOF
{
  "runtime": "docker",
  "state": "$state",
  "socket": "/run/derpman/node.sock",
  "group": "derpman",
  "release_key": "$1",
  "authorized_keys": "$home/.ssh/authorized_keys"
}
EOF
    write $unit 644 <<EOF
[Unit]
Description=DERP Management node: keeps the relays of this server
After=network-online.target docker.service
Wants=network-online.target docker.service
StartLimitIntervalSec=0

[Service]
ExecStart=$program serve --config $config
Restart=always
RestartSec=200ms
KillMode=process
OOMScoreAdjust=-500
LimitNOFILE=65536
UMask=0077
RuntimeDirectory=derpman
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=yes
StateDirectory=derpman
StateDirectoryMode=0700
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=-$home/.ssh
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
EOF
    # What is installed now is what shall run, and no program of an earlier upgrade.
    rm -rf $state/program
    systemctl daemon-reload
    systemctl enable derpman-node.service >/dev/null 2>&1 ||
        fail bootstrap.node_not_running "systemctl enable derpman-node failed"
    # Relays run in containers of their own and notice nothing.
    systemctl restart derpman-node.service || true
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        if systemctl is-active --quiet derpman-node.service && [ -S /run/derpman/node.sock ]; then
            return 0
        fi
        sleep 0.5
    done
    fail bootstrap.node_not_running \
        "$( (journalctl -u derpman-node -n 5 --no-pager -o cat || true) 2>/dev/null | tail -n 5)"
}

host_keys() {
    for key in /etc/ssh/ssh_host_ed25519_key.pub /etc/ssh/ssh_host_ecdsa_key.pub \
        /etc/ssh/ssh_host_rsa_key.pub; do
        [ ! -r $key ] || cut -d ' ' -f 1,2 $key
    done
}

main() {
    [ "$(id -u)" = 0 ] || fail bootstrap.not_root "this must run as root"
    case "${1:-}" in
    look) look ;;
    docker) install_docker ;;
    account) account "$2" ;;
    program) install_program "$2" ;;
    service) service "$2" ;;
    host_keys) host_keys ;;
    *) fail bootstrap.usage "unknown verb: ${1:-none}" ;;
    esac
}

main "$@"

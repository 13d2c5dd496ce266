"""What a machine must have before a fleet can stand on it."""

import os
import shutil
import subprocess
from pathlib import Path

# program -> Debian package
PROGRAMS = {
    "ip": "iproute2",
    "iptables": "iptables",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "dockerd": "docker.io",
    "docker": "docker.io",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
}
SEARCH = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"


def missing() -> list[str]:
    """Plain sentences on what stands in the way; empty when a fleet can be made."""
    found: list[str] = []
    if os.geteuid() != 0:
        found.append("it needs root: network namespaces, mounts and dockerd")
    absent = sorted({pkg for name, pkg in PROGRAMS.items() if not shutil.which(name, path=SEARCH)})
    if absent:
        found.append(f"Debian packages are missing: {' '.join(absent)}")
    if not _has_overlay():
        found.append("the kernel has no overlay file system")
    if not Path("/sys/fs/cgroup").is_dir() or not os.access("/sys/fs/cgroup", os.W_OK):
        found.append("control groups are not writable at /sys/fs/cgroup")
    return found


def _has_overlay() -> bool:
    listed = Path("/proc/filesystems")
    if "\toverlay\n" not in listed.read_text() and shutil.which("modprobe", path=SEARCH):
        subprocess.run(["modprobe", "--quiet", "overlay"], check=False)
    return "\toverlay\n" in listed.read_text()

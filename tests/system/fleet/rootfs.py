"""The file tree of one server: this machine's programs below, everything written kept apart.

/usr, /etc and /var are overlays over the machine's own; /usr/local, /root, /home, /opt,
/var/lib/docker and the units of systemd begin empty; /run, /dev and /proc are new. So a server
has users, units, packages and Docker images of its own, and the machine's stay as they are.
"""

import ctypes
import os
import shutil
import stat
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_NOSUID, _NODEV, _NOEXEC, _BIND, _REC, _PRIVATE, _SLAVE = 2, 4, 8, 4096, 16384, 1 << 18, 1 << 19
_DETACH = 2

OVERLAID = ("usr", "etc", "var")
EMPTY = ("root", "home", "opt", "srv", "mnt", "media")
# Below the overlays: folders that must not show what the machine has there. Docker's cannot be
# an overlay, as it makes overlays in it.
FRESH = (
    "usr/local",
    "var/lib/docker",
    "var/tmp",
    "var/cache/apt",
    "etc/docker",
    "etc/systemd/system",
)
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def _mount(source: str, target: Path, kind: str | None, flags: int = 0, data: str = "") -> None:
    args = (source, str(target), kind, data or None)
    encoded = [arg.encode() if arg is not None else None for arg in args]
    if _libc.mount(encoded[0], encoded[1], encoded[2], flags, encoded[3]) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mount {source} on {target}: {os.strerror(code)}")


def enter(home: Path, disk_mb: int | None) -> None:
    """Make the tree of a server whose disk is home/disk the root of this mount namespace.

    With `disk_mb` the disk is that small, and in memory: it does not survive a reboot.
    """
    _mount("none", Path("/"), None, _REC | _PRIVATE)
    disk, root = home / "disk", home / "root"
    for folder in (disk, root):
        folder.mkdir(exist_ok=True)
    if disk_mb:
        _mount("disk", disk, "tmpfs", 0, f"size={disk_mb}m,mode=755")
    _plain(disk, root)
    for name in OVERLAID:
        _overlay(disk, name, root / name)
    for name in FRESH:
        fresh = disk / "fresh" / name.replace("/", "-")
        fresh.mkdir(parents=True, exist_ok=True)
        if name == "var/tmp":
            fresh.chmod(0o1777)
        (root / name).mkdir(parents=True, exist_ok=True)
        _mount(str(fresh), root / name, None, _BIND)
    _kernel(root)
    if not (disk / "seeded").exists():
        _seed(home, root)
        (disk / "seeded").touch()
    os.chdir(root)
    (root / ".old").mkdir(exist_ok=True)
    if _libc.pivot_root(b".", b".old") != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"pivot_root: {os.strerror(code)}")
    os.chdir("/")
    _mount("none", Path("/.old"), None, _REC | _SLAVE)
    if _libc.umount2(b"/.old", _DETACH) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"leaving the machine's tree: {os.strerror(code)}")
    Path("/.old").rmdir()


def _plain(disk: Path, root: Path) -> None:
    base = disk / "base"
    base.mkdir(exist_ok=True)
    for name in (*OVERLAID, *EMPTY, "proc", "sys", "dev", "run", "tmp"):
        (base / name).mkdir(exist_ok=True)
    (base / "root").chmod(0o700)
    (base / "tmp").chmod(0o1777)
    for entry in Path("/").iterdir():  # /bin, /lib and so on, which point into /usr
        if entry.is_symlink() and not (base / entry.name).is_symlink():
            (base / entry.name).symlink_to(entry.readlink())
    _mount(str(base), root, None, _BIND)


def _overlay(disk: Path, name: str, target: Path) -> None:
    upper, work = disk / "upper" / name, disk / "work" / name
    for folder in (upper, work):
        folder.mkdir(parents=True, exist_ok=True)
    shutil.copymode(f"/{name}", upper)
    _mount("overlay", target, "overlay", 0, f"lowerdir=/{name},upperdir={upper},workdir={work}")


def _seed(home: Path, root: Path) -> None:
    """What a new server has: the files in home/seed, and not the machine's SSH keys."""
    for name in ("bin", "sbin", "lib", "share", "etc"):
        (root / "usr/local" / name).mkdir()
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    if (home / "without").exists():
        _remove_docker(root)
    machine_id = Path("/proc/sys/kernel/random/uuid").read_text().replace("-", "")
    (root / "etc/machine-id").write_text(machine_id)
    shutil.copytree(home / "seed", root, symlinks=True, dirs_exist_ok=True)


def _remove_docker(root: Path) -> None:
    """As if Docker's packages had never been installed, also in the eyes of dpkg."""
    names = ("docker*", "containerd*", "runc", "ctr")
    for folder in ("usr/bin", "usr/sbin", "usr/lib/systemd/system"):
        for name in names:
            for path in (root / folder).glob(name):
                path.unlink()
    status = root / "var/lib/dpkg/status"
    gone = {"docker.io", "docker-ce", "docker-ce-cli", "containerd", "containerd.io", "runc"}
    if status.exists():
        kept = [
            entry
            for entry in status.read_text().split("\n\n")
            if entry.partition("\n")[0].removeprefix("Package: ") not in gone
        ]
        status.write_text("\n\n".join(kept))


def _kernel(root: Path) -> None:
    _mount("proc", root / "proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    # A sysfs of this network namespace; it comes without the cgroups, which dockerd needs.
    _mount("sysfs", root / "sys", "sysfs", _NOSUID | _NODEV | _NOEXEC)
    _mount("/sys/fs/cgroup", root / "sys/fs/cgroup", None, _BIND | _REC)
    _mount("tmpfs", root / "run", "tmpfs", _NOSUID | _NODEV, "size=64m,mode=755")
    for name in ("run/sshd", "run/lock", "run/systemd/system"):
        (root / name).mkdir(parents=True)
    # A boot of its own, by which programs tell a restart of the machine.
    boot_id = root / "run/boot_id"
    boot_id.write_text(Path("/proc/sys/kernel/random/uuid").read_text())
    boot_id.chmod(0o444)
    _mount(str(boot_id), root / "proc/sys/kernel/random/boot_id", None, _BIND)
    dev = root / "dev"
    _mount("tmpfs", dev, "tmpfs", _NOSUID, "size=1m,mode=755")
    for name in DEVICES:
        number = Path("/dev", name).stat().st_rdev
        os.mknod(dev / name, stat.S_IFCHR | 0o666, number)
        (dev / name).chmod(0o666)
    for name, kind, data in (
        ("pts", "devpts", "newinstance,ptmxmode=0666,mode=620"),
        ("shm", "tmpfs", "size=64m,mode=1777"),
    ):
        (dev / name).mkdir()
        _mount(kind, dev / name, kind, _NOSUID | _NOEXEC, data)
    for name, target in (
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ):
        (dev / name).symlink_to(target)

"""Whether a path lies on a network file system, where SQLite's WAL mode does not work."""

from __future__ import annotations

from pathlib import Path


def network_file_system(path: Path, mounts: str) -> str | None:
    """The network file system `path` lies on, None if it is local. `mounts` is the text
    of `/proc/mounts` (device, mount point, type, ...); empty where there is none."""
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ")
        if path.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind if kind in NETWORK_KINDS or kind.startswith("fuse.sshfs") else None


def load_mounts() -> str:
    """The kernel's table of mounts; empty on systems without `/proc`."""
    try:
        return Path("/proc/mounts").read_text(errors="replace")
    except OSError:
        return ""


NETWORK_KINDS = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.gcsfuse", "fuse.glusterfs",
    "fuse.s3fs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "orangefs", "panfs",
    "pvfs2", "smb3", "smbfs", "virtiofs", "wekafs",
})  # fmt: skip

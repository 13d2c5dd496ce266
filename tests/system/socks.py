"""The little of SOCKS5 that reaches a peer through a Tailscale client's proxy."""

import ipaddress
import socket
import struct


def connect(proxy: tuple[str, int], peer: str, port: int, timeout: float) -> socket.socket:
    """A connection to the peer through the proxy; OSError when either does not answer in time."""
    conn = socket.create_connection(proxy, timeout=timeout)
    try:
        _greet(conn, peer, port)
    except BaseException:
        conn.close()
        raise
    return conn


def _greet(conn: socket.socket, peer: str, port: int) -> None:
    conn.sendall(b"\x05\x01\x00")
    _exactly(conn, 2)
    address = ipaddress.ip_address(peer)
    kind = b"\x01" if address.version == 4 else b"\x04"
    conn.sendall(b"\x05\x01\x00" + kind + address.packed + struct.pack(">H", port))
    answer = _exactly(conn, 4)
    if answer[1] != 0:
        raise OSError(f"the proxy could not reach {peer}:{port} (code {answer[1]})")
    _exactly(conn, {1: 4, 4: 16}.get(answer[3], 4) + 2)


def _exactly(conn: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = conn.recv(count - len(data))
        if not more:
            raise OSError("the proxy closed the connection")
        data += more
    return data

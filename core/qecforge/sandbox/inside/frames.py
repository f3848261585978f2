"""Frames on pipes and sockets: a length of four bytes, then the content."""

from __future__ import annotations

import os
import socket
import struct

__all__ = ["FrameError", "erase", "read_frame", "receive_bytes", "receive_frame", "send_frame", "write_frame"]

HEADER = struct.Struct("<I")
CONTROL_SIZE = 1 << 30
MAX_DESCRIPTORS = 4


class FrameError(Exception):
    """The other end has gone, or what it wrote is no frame."""


def write_frame(descriptor: int, content: bytes) -> None:
    """Write all of it. Raises `OSError`."""
    rest = memoryview(HEADER.pack(len(content)) + content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def read_frame(descriptor: int, limit: int) -> bytes:
    """Wait for a frame. Raises `FrameError` where the other end has gone, or it is longer than `limit` bytes."""
    (size,) = HEADER.unpack(_read(descriptor, HEADER.size))
    if size > limit:
        raise FrameError(f"a frame of {size:,} bytes is larger than {limit:,}")
    return _read(descriptor, size)


def _read(descriptor: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.read(descriptor, min(size, 1 << 20))
        if not part:
            raise FrameError("the other end has gone")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def send_frame(control: socket.socket, content: bytes, descriptors: tuple[int, ...] = ()) -> None:
    """A frame with descriptors, between a cell and its owner."""
    header = HEADER.pack(len(content))
    if descriptors:
        socket.send_fds(control, [header], list(descriptors))
    else:
        control.sendall(header)
    control.sendall(content)


def receive_frame(control: socket.socket) -> tuple[bytearray, list[int]]:
    """Wait for a frame with its descriptors; nobody else has a copy of it. Raises `FrameError`."""
    header, descriptors, _, _ = socket.recv_fds(control, HEADER.size, MAX_DESCRIPTORS, socket.MSG_WAITALL)
    if len(header) != HEADER.size:
        raise FrameError("the other end has gone")
    (size,) = HEADER.unpack(header)
    if size > CONTROL_SIZE:
        raise FrameError(f"a frame of {size:,} bytes")
    return receive_bytes(control, size), descriptors


def receive_bytes(control: socket.socket, size: int) -> bytearray:
    """Wait for so many bytes. Raises `FrameError`."""
    content = bytearray(size)
    rest = memoryview(content)
    while rest:
        received = control.recv_into(rest)
        if not received:
            raise FrameError("the other end has gone")
        rest = rest[received:]
    return content


def erase(content: bytearray) -> None:
    """Overwrite what no later program may find in the memory that it is forked with."""
    content[:] = bytes(len(content))

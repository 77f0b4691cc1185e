"""Whether a server of a tracker is there, before a library waits minutes for it."""

from __future__ import annotations

import socket
import urllib.request
from functools import cache
from urllib.parse import urlsplit

__all__ = ["is_reachable"]

_CONNECT_SECONDS = 3.0


@cache
def is_reachable(url: str) -> bool:
    """Whether a server, or the proxy before it, accepts connections, found out once per process and within seconds."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy)
    try:
        port = parts.port or (80 if parts.scheme == "http" else 443)
        socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True

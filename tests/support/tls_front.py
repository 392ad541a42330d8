"""An end of TLS before a server, as a process: `tls_front.py ADDRESS PORT CERTIFICATE [postgres]`.

It prints the port that it listens on, then a line for each connection that it relays.
"""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from contextlib import suppress

POSTGRES_SSL = bytes.fromhex("0000000804d2162f")  # SSLRequest


def serve(address: str, server_port: int, certificate: str, is_postgres: bool) -> None:
    """Relay what comes over TLS, until the process is ended."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server((address, 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        client, _ = listener.accept()
        arguments = (client, context, server_port, is_postgres)
        threading.Thread(target=_relay, args=arguments, daemon=True).start()


def _relay(
    client: socket.socket, context: ssl.SSLContext, server_port: int, is_postgres: bool
) -> None:
    with client, suppress(OSError):
        if is_postgres:
            if client.recv(8, socket.MSG_WAITALL) != POSTGRES_SSL:
                return  # nothing is taken without TLS
            client.sendall(b"S")
        with context.wrap_socket(client, server_side=True) as secure:
            # With TLS 1.3 the client may refuse the certificate after the handshake.
            first = secure.recv(65_536)
            if not first:
                return
            print("relayed", flush=True)
            with socket.create_connection(("127.0.0.1", server_port)) as server:
                server.sendall(first)
                back = threading.Thread(target=_copy, args=(server, secure), daemon=True)
                back.start()
                _copy(secure, server)
                back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:] == ["postgres"])

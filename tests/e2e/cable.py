"""A cable to a port of this machine that a test can pull out: what goes through it is cut."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Cable:
    """Listens at `port` and passes everything on to `to`, while it is plugged in."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._plugged = True
        self._ends: list[socket.socket] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def pull(self) -> None:
        """Break what goes through it, and let nothing through from now on."""
        with self._lock:
            self._plugged = False
            for end in self._ends:
                with suppress(OSError):  # it is closed already
                    end.shutdown(socket.SHUT_RDWR)
            self._ends.clear()

    def plug(self) -> None:
        """Let what comes from now on through again."""
        with self._lock:
            self._plugged = True

    def close(self) -> None:
        """Be no cable any more."""
        self.pull()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                near, _ = self._listener.accept()
                self._join(near)

    def _join(self, near: socket.socket) -> None:
        with self._lock:
            if not self._plugged:
                near.close()
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                near.close()
                return
            self._ends += [near, far]
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=_pass_on, args=(source, sink), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
    source.close()


@contextmanager
def cable(to: int) -> Iterator[Cable]:
    """A cable to this port, gone at the end."""
    laid = Cable(to)
    try:
        yield laid
    finally:
        laid.close()

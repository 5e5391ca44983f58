"""A server that speaks PostgreSQL's protocol and is none: `serves(answer)` is for a Wire, `answer(sql)` gives the bytes, or None
to close the connection."""

import struct

from .postgres import SSL_REQUEST


def message(kind, body=b""):
    return kind + struct.pack(">I", len(body) + 4) + body


def columns(*names, kind=25):
    described = (name + b"\0" + struct.pack(">IHIhih", 0, 0, kind, -1, -1, 0) for name in names)
    return message(b"T", struct.pack(">H", len(names)) + b"".join(described))


def row(*values):
    cells = (struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value for value in values)
    return message(b"D", struct.pack(">H", len(values)) + b"".join(cells))


def done(tag, body=b""):
    return message(b"1") + message(b"2") + (body or message(b"n")) + message(b"C", tag + b"\0")


def like_a_database(answer):
    """Transactions and settings are answered as a server does, all else by `answer`."""
    def serve(sql):
        for word in (b"BEGIN", b"ROLLBACK"):
            if sql.startswith(word):
                return done(word)
        return done(b"SELECT 1", columns(b"set") + row(b"")) if b"set_config" in sql else answer(sql)
    return serve


def let_in(connection):
    if connection.recv(4096)[4:8] == SSL_REQUEST:
        connection.sendall(b"N")
        connection.recv(4096)
    parameters = {b"server_version": b"15.1", b"client_encoding": b"UTF8", b"standard_conforming_strings": b"on"}
    told = b"".join(message(b"S", name + b"\0" + value + b"\0") for name, value in parameters.items())
    connection.sendall(message(b"R", bytes(4)) + told + message(b"K", bytes(8)) + message(b"Z", b"I"))


def statements(connection):
    """The statements of each round that the client waits for an answer to."""
    buffer, asked = b"", []
    while data := connection.recv(65536):
        buffer += data
        while len(buffer) >= 5 and len(buffer) > struct.unpack(">I", buffer[1:5])[0]:
            end = struct.unpack(">I", buffer[1:5])[0] + 1
            kind, body, buffer = buffer[:1], buffer[5:end], buffer[end:]
            if kind == b"P":
                asked.append(body.split(b"\0")[1])
            if kind == b"S":
                yield asked
                asked = []


def serves(answer):
    def serve(connection, _):
        let_in(connection)
        for asked in statements(connection):
            for sql in asked:
                reply = answer(sql)
                if reply is None:
                    return
                connection.sendall(reply)
            connection.sendall(message(b"Z", b"T"))
    return serve

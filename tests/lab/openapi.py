"""The part of a cluster's OpenAPI document that a kubectl before 1.27 reads (as protobuf) before it tries `--dry-run=server`:
which kinds can be patched with the parameter dryRun."""


def document(kinds):
    """For (group, version, kind) of each kind."""
    return field(1, "2.0") + field(8, b"".join(field(2, path(*kind)) for kind in kinds))


def path(group, version, kind):
    """NamedPathItem { name, value { patch { parameters { parameter { query: dryRun } }, x-kubernetes-group-version-kind } } }"""
    parameter = field(1, field(2, field(3, field(4, "dryRun"))))
    described = f'{{group: "{group}", version: "{version}", kind: "{kind}"}}'
    extension = field(1, "x-kubernetes-group-version-kind") + field(2, field(2, described))
    return field(1, f"/{group}/{version}/{kind}") + field(2, field(8, field(8, parameter) + field(13, extension)))


def field(number, value):
    """One length-delimited field."""
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(number):
    data = b""
    while number > 127:
        data += bytes([number & 127 | 128])
        number >>= 7
    return data + bytes([number])

"""The bytes by which a secret is recognised: in the encodings in which programs print values, cheap ones only.

contract/examples/redaction.json holds cases, docs/secrets.md names what is not here. Both distributions have this file,
word for word the same. Standard library only.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator

NEEDLE_BYTES_MIN = 7

_ALPHANUMERIC = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_KEPT = tuple(frozenset(_ALPHANUMERIC + more) for more in (
    b"-_.~", b"-_.~/", b"-_.", b"-_./", b"./:", b"",  # Python, curl, Go; older ones; Nushell
    b"-_.*", b"-_.!~*'()", b"-_.!~*'();/?:@&=+$,#", b"-_.~$&+=:@",  # forms, JavaScript's two, Go's paths
))  # fmt: skip
"""What is left as it is where the rest is percent-encoded."""


def encodings(value: str) -> set[bytes]:
    """Each a part that is certain, whatever stands around it; none shorter than NEEDLE_BYTES_MIN."""
    found = {value.encode("utf-16-le", "surrogatepass"), value.encode("utf-16-be", "surrogatepass")}
    for wide in tuple(found):  # PowerShell encodes commands so
        found |= {binascii.hexlify(wide), binascii.hexlify(wide).upper(), *_base64(wide)}
    for text in _normal_forms(value):
        raw = text.encode("utf-8", "surrogatepass")
        found |= {raw, *_of_bytes(raw), *_base64_of(raw)}
        quoted = _quoted(text)
        for spelled in (*quoted, *_in_json(quoted), *_json(text)):
            found.add(spelled.encode("utf-8", "surrogatepass"))
        found |= {line for line in _lines(raw) if not line.startswith(b"-----")}
        if not text.isascii():
            found |= _of_one_byte_each(text)
    return {needle for needle in found if len(needle) >= NEEDLE_BYTES_MIN}


def _normal_forms(value: str) -> set[str]:
    """As it is, composed and decomposed: file systems, databases and editors change the one into the other."""
    if value.isascii():
        return {value}
    import unicodedata  # here: for few secrets

    return {value, unicodedata.normalize("NFC", value), unicodedata.normalize("NFD", value)}


def _of_one_byte_each(text: str) -> set[bytes]:
    """What is written where UTF-8 is not spoken."""
    found: set[bytes] = set()
    for code in ("latin-1", "cp1252"):
        try:
            raw = text.encode(code)
        except UnicodeEncodeError:
            continue
        found |= {raw, *_of_bytes(raw)}
    return found


def _of_bytes(raw: bytes) -> set[bytes]:
    found = {repr(raw)[2:-1].encode(), _backslashed(raw)}  # as Python shows bytes, and C
    return found | _hex(raw) | _base64(raw) | _base32(raw) | _base85(raw) | _percent(raw) | _numbers(raw)


def _hex(raw: bytes) -> set[bytes]:
    """In pairs too: `aa:bb`, `aa-bb`, `\\xaa\\xbb`, `0xaa, 0xbb`; blanks are not compared anyway."""
    found: set[bytes] = set()
    for pairs in ([b"%02x" % byte for byte in raw], [b"%02X" % byte for byte in raw]):
        found |= {between.join(pairs) for between in (b"", b":", b"-")}
        found |= {first + (between + first).join(pairs) for first, between in _PREFIXED}
    return found


_PREFIXED = ((b"\\x", b""), (b"0x", b""), (b"0x", b","))


def _numbers(raw: bytes) -> set[bytes]:
    """Each byte as `\\143`, and lists of bytes: `99, 111`, `99 111` (blanks are not compared)."""
    each = [str(byte).encode() for byte in raw]
    return {b"".join(b"\\%03o" % byte for byte in raw), b",".join(each), b"".join(each)}


def _backslashed(raw: bytes) -> bytes:
    """`printf %q`, `ls`, `git`: what is not ASCII as \\303\\242."""
    return b"".join(bytes([byte]) if 32 <= byte < 127 else b"\\%03o" % byte for byte in raw)


def _base64(raw: bytes) -> set[bytes]:
    """As a part of whatever was encoded: for each of the three alignments the characters that only it decides."""
    found: set[bytes] = set()
    for before in range(3):
        text = binascii.b2a_base64(bytes(before) + raw, newline=False)
        certain = text[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
        found |= {certain, certain.translate(_URLSAFE)}
    return found


_URLSAFE = bytes.maketrans(b"+/", b"-_")


def _base64_of(raw: bytes) -> Iterator[bytes]:
    """Twice, and as JSON in it: what Kubernetes, Helm and cloud-init do with whole files."""
    for once in _base64(raw):
        yield from _base64(once)
    text = raw.decode("utf-8", "surrogatepass")
    for spelled in {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}:
        yield from _base64(spelled.encode("utf-8", "surrogatepass"))


def _base32(raw: bytes) -> set[bytes]:
    found: set[bytes] = set()
    for before in range(5):
        text = base64.b32encode(bytes(before) + raw)
        certain = text[(before * 8 + 4) // 5 : (before + len(raw)) * 8 // 5]
        found |= {certain, certain.lower()}
    return found


def _base85(raw: bytes) -> set[bytes]:
    """Four bytes are five characters, each of all four: up to three bytes at either end are not recognised."""
    found: set[bytes] = set()
    for before in range(4):
        inner = raw[before : len(raw) - (len(raw) - before) % 4]
        modern = base64.b85encode(inner)
        found |= {base64.a85encode(inner), modern, modern.translate(_Z85)}
    return found


_Z85 = bytes.maketrans(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~",
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#",
)


def _percent(raw: bytes) -> set[bytes]:
    found = set()
    for kept in (*_KEPT, frozenset(b"")):
        for form in (b"%%%02X", b"%%%02x"):
            text = b"".join(bytes([byte]) if byte in kept else form % byte for byte in raw)
            found |= {text, text.replace(b"%20", b"+"), text.replace(b"%", b"%25")}
    quoted = b"".join(bytes([byte]) if 32 <= byte < 127 and byte != 61 else b"=%02X" % byte for byte in raw)
    return {*found, quoted}  # and quoted-printable


def _lines(raw: bytes) -> list[bytes]:
    lines = [line.strip() for line in raw.splitlines()]
    return lines if len(lines) > 1 else []


def _quoted(value: str) -> set[str]:
    """In JSON, YAML, a shell's quotes, SQL, CSV, HCL, as Python shows it, in HTML."""
    escaped = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    html = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    back = value.replace("\\", "\\\\")
    yaml = _UNICODE.sub(lambda code: code[0][:2] + code[0][2:].upper(), ascii(value)[1:-1])
    return {
        *escaped,
        *(text.replace("/", "\\/") for text in escaped),
        *(text.replace("${", "$${").replace("%{", "%%{") for text in (value, *escaped)),
        value.replace("'", "'\\''"),
        value.replace("'", "'\"'\"'"),
        value.replace("'", "''"),
        value.replace('"', '""'),
        back.replace("'", "\\'"),
        back.replace("'", "\\'").replace('"', '\\"'),
        "".join("\\" + char if char in '"$`\\!' else char for char in value),
        "".join(char if char.isalnum() or char in "_-./:=@%+,^~" or char > "~" else "\\" + char for char in value),
        re.escape(value),
        repr(value)[1:-1],
        ascii(value)[1:-1],
        yaml,
        html,
        html.replace("'", "&#x27;"),
        html.replace("'", "&#39;"),
        html.replace("'", "&apos;"),
        value.replace("\n", "\r\n"),
    }


_UNICODE = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")


def _in_json(quoted: set[str]) -> Iterator[str]:
    """Command lines and documents are told in JSON: JSON in JSON too."""
    for text in quoted:
        yield json.dumps(text)[1:-1]
        yield json.dumps(text, ensure_ascii=False)[1:-1]


def _json(value: str) -> Iterable[str]:
    """As the JSON of others than Python has it: Go's (OpenTofu, kubectl …), Gson's and .NET's escape more."""
    for text in (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
        upper = _CODE.sub(lambda code: "\\u" + code[1].upper(), text)
        for base, form in ((text, "\\u%04x"), (upper, "\\u%04X")):
            for more in ("", "&<>", "&<>'=", "&<>'+`\""):
                plain = base.replace('\\"', '"') if '"' in more else base
                yield "".join(form % ord(char) if char in more else char for char in plain)


_CODE = re.compile(r"\\u([0-9a-f]{4})")

"""Bring host names and addresses to the one spelling that every parser reads alike. Pure."""

import re
from ipaddress import IPv4Address, IPv6Address

import idna

from webhooks_app.transport.address_rules import Address

LONGEST_HOST = 253  # RFC 1035, section 2.3.4, less the root's own two bytes

LONGEST_LABEL = 63


class TargetRefused(ValueError):
    """Say why deliveries must not go to a URL; the message is a sentence for an admin."""


def refuse_if(wrong: bool, sentence: str) -> None:
    if wrong:
        raise TargetRefused(sentence)


def split_host_and_port(authority: str, default_port: int) -> tuple[str, int]:
    """Return the host as typed, and the port or else `default_port`; raises TargetRefused."""
    refuse_if("@" in authority, "The URL holds a user name or password. Use a header of your own instead.")
    refuse_if(
        "%" in authority, "The host holds a percent sign: neither zone ids nor encoded hosts are allowed."
    )
    parts = re.fullmatch(r"(\[[^\[\]]*\]|[^:\[\]]+)(?::([0-9]{1,5}))?", authority)
    if not parts:
        raise TargetRefused("The URL must name one host, and after a colon a port from 1 to 65535 if any.")
    return parts[1], int(parts[2]) if parts[2] else default_port


def parse_host(host: str) -> tuple[str, Address | None]:
    """Return the host in its one spelling, and its address when it is one, without the brackets of IPv6.

    Raises TargetRefused.
    """
    if host.startswith("["):
        try:
            literal = IPv6Address(host[1:-1])
        except ValueError:
            raise TargetRefused("The host in brackets is not an IPv6 address.") from None
        return str(literal), literal
    name = _ascii_name(host)
    # A resolver reads whatever ends in a number as IPv4 (WHATWG URL, "ends in a number checker").
    if not re.fullmatch(r"[0-9]+|0x[0-9a-f]*", name.rpartition(".")[2]):
        return name, None
    return name, _ipv4_written_in_full(name)


def _ipv4_written_in_full(name: str) -> IPv4Address:
    """Return the address that a numeric name is; raises TargetRefused for any spelling but the usual one."""
    address = _ipv4_by_inet_aton(name.split("."))
    if address is None:
        raise TargetRefused("The host ends in a number but is not an IPv4 address.")
    # Refused rather than rewritten: programs disagree whether 0177 is 127 or 177.
    refuse_if(str(address) != name, f"{name} means {address}. Write addresses in full.")
    return address


def _ascii_name(host: str) -> str:
    """Return the lower-case ASCII form of a host name, without the root's dot."""
    refuse_if(len(host) > LONGEST_HOST + 1, f"The host is over {LONGEST_HOST} characters.")
    try:
        name = host.lower() if host.isascii() else idna.encode(host, uts46=True).decode("ascii").lower()
    except UnicodeError:
        raise TargetRefused("The host is not a valid international name (IDNA 2008, RFC 5891).") from None
    name = name.removesuffix(".")
    labels = name.split(".")
    refuse_if("" in labels, "The host has an empty part: a dot too many.")
    refuse_if(
        max(map(len, labels)) > LONGEST_LABEL, f"A part of the host is over {LONGEST_LABEL} characters."
    )
    refuse_if(len(name) > LONGEST_HOST, f"The host is over {LONGEST_HOST} characters.")
    # The underscore is no host name by RFC 952 but common inside container networks, and harmless.
    well_formed = all(re.fullmatch(r"(?!-)[a-z0-9_-]+(?<!-)", label) for label in labels)
    refuse_if(not well_formed, "The host may only hold letters, digits, dots and inner hyphens.")
    return name


def _ipv4_by_inet_aton(labels: list[str]) -> IPv4Address | None:
    """Return the address as inet_aton(3) reads it: one to four decimal, octal or hexadecimal numbers."""
    numbers = [number for label in labels if (number := _number_by_inet_aton(label)) is not None]
    if len(numbers) < len(labels) or len(labels) > 4:
        return None
    *leading, last = numbers
    if any(number > 255 for number in leading) or last >= 256 ** (5 - len(labels)):
        return None
    return IPv4Address(last + sum(number << 8 * (3 - position) for position, number in enumerate(leading)))


def _number_by_inet_aton(label: str) -> int | None:
    for pattern, base in ((r"0x([0-9a-f]*)", 16), (r"0([0-7]*)", 8), (r"([1-9][0-9]*)", 10)):
        if match := re.fullmatch(pattern, label):
            return int(match[1] or "0", base)
    return None


def canonical_host(host: str) -> str:
    """Return the one spelling of a host name or an address; raises TargetRefused."""
    return parse_host(f"[{host}]" if ":" in host and not host.startswith("[") else host)[0]

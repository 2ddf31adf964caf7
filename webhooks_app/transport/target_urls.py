"""Check the URL of an endpoint and bring it to its one spelling. Pure."""

import re
import unicodedata
from ipaddress import IPv6Address
from urllib.parse import quote

from webhooks_app.transport.host_names import TargetRefused, parse_host, refuse_if, split_host_and_port
from webhooks_app.transport.target_policy import ONLY_PUBLIC, TargetPolicy, refusal_of_address
from webhooks_app.transport.target_ports import DEFAULT_PORTS, port_problem

# What a database column, a log line and every common server take without trouble.
LONGEST_URL = 2048

# What helps whoever meant a server of their own; not said of what no setting opens.
WAYS_ON = (
    "To receive them on a machine of yours while you develop, run `avra listen` there; an operator can allow"
    " an address by WEBHOOKS_ALLOWED_TARGETS."
)

# Unicode categories of control, format and surrogate characters and of every kind of space.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})


def normalise_url(url: str, policy: TargetPolicy) -> str:
    """Return the one spelling of `url` to store and to hand to libcurl.

    Rebuilt from its parts with an ASCII host, so that no two parsers can disagree about where it leads.
    Path and query stay as typed, apart from the encoding that RFC 3986 demands.
    Raises TargetRefused, whose message is a sentence for an admin.
    """
    scheme, authority, path, query = _split(url, policy)
    host, port = split_host_and_port(authority, DEFAULT_PORTS[scheme])
    name, address = parse_host(host)
    problem = refusal_of_address(name, port, name, policy) if address else _name_problem(name, port, policy)
    if problem:
        raise TargetRefused(f"{problem} {WAYS_ON}" if problem.endswith(ONLY_PUBLIC) else problem)
    shown_host = f"[{name}]" if isinstance(address, IPv6Address) else name
    shown_port = "" if port == DEFAULT_PORTS[scheme] else f":{port}"
    rebuilt = f"{scheme}://{shown_host}{shown_port}{_encoded(path or '/')}{_encoded(query)}"
    refuse_if(len(rebuilt) > LONGEST_URL, f"The URL is over {LONGEST_URL} characters once encoded.")
    return rebuilt


def _split(url: str, policy: TargetPolicy) -> tuple[str, str, str, str]:
    """Return scheme, authority, path and query (with its question mark), cut as in RFC 3986, appendix B."""
    refuse_if(len(url) > LONGEST_URL, f"The URL is over {LONGEST_URL} characters.")
    invisible = any(unicodedata.category(char) in _INVISIBLE for char in url)
    refuse_if(invisible, "The URL holds a space, a control character or an invisible one.")
    refuse_if("\\" in url, "The URL holds a backslash, which programs read in different ways.")
    refuse_if("#" in url, "The URL holds a fragment (#), which is never sent. Remove it.")
    schemes = ("https", "http") if policy.allow_http else ("https",)
    parts = re.fullmatch(r"([A-Za-z]+)://([^/?]*)([^?]*)(\?.*)?", url)
    if not parts or parts[1].lower() not in schemes:
        raise TargetRefused(f"The URL must start with {' or '.join(f'{each}://' for each in schemes)}.")
    refuse_if(not parts[2], "The URL names no host.")
    return parts[1].lower(), parts[2], parts[3], parts[4] or ""


def _name_problem(name: str, port: int, policy: TargetPolicy) -> str | None:
    if (name, port) in policy.allowed_hosts:
        return None
    if name == "localhost" or name.endswith(".localhost"):
        # libcurl answers these itself, always with loopback (RFC 6761, section 6.3).
        problem = refusal_of_address("127.0.0.1", port, name, policy)
        return problem and f"{name} is this machine itself. {problem}"
    if (name, port) in policy.own_listeners:
        return f"{name} port {port} is where this platform itself listens. Deliveries do not go there."
    return port_problem(port, policy.denied_ports)


def _encoded(text: str) -> str:
    # Square brackets stay: servers read a[]=1 in a query as typed, and no parser looks for a host here.
    return quote(re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", text), safe="/?:@!$&'()*+,;=%[]")

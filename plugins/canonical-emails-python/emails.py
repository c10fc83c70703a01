"""From an address as it was typed to the one form that all spellings of a mailbox share. Pure: no database here."""

import re

# Providers whose users are told apart by the whole address, and often mistype the domain.
WELL_KNOWN = ("gmail.com", "hotmail.com", "icloud.com", "outlook.com", "yahoo.com")

ATOM = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}")
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def canonical(address: str) -> str | None:
    """Lower case, without a tag; at Gmail, whose users may put dots anywhere, without dots. None: not readable."""
    if not address.isascii():
        return None
    local, at, domain = address.lower().rpartition("@")
    domain = domain.removesuffix(".")
    labels = domain.split(".")
    if not at or not ATOM.fullmatch(local) or len(labels) < 2 or not all(map(LABEL.fullmatch, labels)):
        return None
    local = local.partition("+")[0]
    if domain in ("gmail.com", "googlemail.com"):
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}" if local else None


def is_mistyped(domain: str) -> bool:
    """One slip of the finger away from a well-known domain."""
    return any(one_slip_apart(domain, known) for known in WELL_KNOWN)


def one_slip_apart(a: str, b: str) -> bool:
    """A character too many, missing or wrong, or two that changed places."""
    while a and b and a[0] == b[0]:
        a, b = a[1:], b[1:]
    while a and b and a[-1] == b[-1]:
        a, b = a[:-1], b[:-1]
    return max(len(a), len(b)) == 1 or (len(a) == 2 and a == b[::-1])

// From an address as it was typed to the one form that all spellings of a mailbox share. Pure: no database here.

// Providers whose users are told apart by the whole address, and often mistype the domain.
const WELL_KNOWN = ["gmail.com", "hotmail.com", "icloud.com", "outlook.com", "yahoo.com"];

const ATOM = /^[a-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}$/;
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
// Before it becomes lower case: that would make ASCII of a few other letters, such as the Kelvin sign.
const ASCII = /^[\0-\x7f]*$/;

/** Lower case, without a tag; at Gmail, whose users may put dots anywhere, without dots. Undefined: not readable. */
export function canonical(address) {
  if (!ASCII.test(address)) return undefined;
  const lower = address.toLowerCase();
  const at = lower.lastIndexOf("@");
  let domain = lower.slice(at + 1).replace(/\.$/, "");
  const labels = domain.split(".");
  if (at < 0 || !ATOM.test(lower.slice(0, at)) || labels.length < 2 || !labels.every((l) => LABEL.test(l))) return undefined;
  let local = lower.slice(0, at).split("+")[0];
  if (domain === "gmail.com" || domain === "googlemail.com") {
    local = local.replaceAll(".", "");
    domain = "gmail.com";
  }
  return local ? `${local}@${domain}` : undefined;
}

/** One slip of the finger away from a well-known domain. */
export function isMistyped(domain) {
  return WELL_KNOWN.some((known) => oneSlipApart(domain, known));
}

/** A character too many, missing or wrong, or two that changed places. */
export function oneSlipApart(a, b) {
  while (a && b && a[0] === b[0]) [a, b] = [a.slice(1), b.slice(1)];
  while (a && b && a.at(-1) === b.at(-1)) [a, b] = [a.slice(0, -1), b.slice(0, -1)];
  return Math.max(a.length, b.length) === 1 || (a.length === 2 && b.length === 2 && a === b[1] + b[0]);
}

// Numbers as the reports write them, written a second time and from the JSON: what both agree on is not one mistake made once.

/** @param {number} ms */
export function duration(ms) {
  const tenths = (value) => (Math.round(value * 10) / 10).toFixed(1);
  if (ms === 0) return "0 ms";
  if (ms < 0.995) return `${Math.max(Math.round(ms * 100) / 100, 0.01).toFixed(2)} ms`;
  if (ms < 9.95) return `${tenths(ms)} ms`;
  if (Math.round(ms) < 1000) return `${Math.round(ms)} ms`;
  if (Math.round(ms / 100) / 10 < 60) return `${tenths(ms / 1000)} s`;
  const s = Math.round(ms / 1000);
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function range(low, high) {
  const [a, b] = [duration(low), duration(high)];
  return a === b ? b : `${a} to ${b}`;
}

export const thousands = (n) => n.toLocaleString("en-US");

export function bytes(n) {
  let size = n;
  for (const unit of ["bytes", "KiB", "MiB", "GiB"]) {
    if (size < 1024) return unit === "bytes" ? `${n} bytes` : `${tenth(size)} ${unit}`;
    size /= 1024;
  }
  return `${tenth(size)} TiB`;
}

/** One decimal; an exact half goes to the even digit, as Rust's formatting has it. */
function tenth(size) {
  const scaled = size * 10;
  const exactHalf = scaled - Math.floor(scaled) === 0.5 && Number.isInteger(size * 1024 * 1024 * 1024);
  const rounded = exactHalf ? 2 * Math.round(scaled / 2) : Math.round(scaled);
  return (rounded / 10).toFixed(1);
}

/** `needs-window` and `needs a window` are one word. */
export const word = (text) => text.replaceAll("-", " ").replace("needs a window", "needs window").trim();

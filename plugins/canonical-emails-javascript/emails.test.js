import assert from "node:assert/strict";
import { test } from "node:test";

import { canonical, isMistyped, oneSlipApart } from "./emails.js";

test("the spellings of a mailbox are one", () => {
  for (const address of ["ada@example.org", "Ada@EXAMPLE.org", "ada+news@example.org", "ada@example.org."]) {
    assert.equal(canonical(address), "ada@example.org");
  }
  for (const address of ["ada.lovelace@gmail.com", "AdaLovelace+x+y@googlemail.com"]) {
    assert.equal(canonical(address), "adalovelace@gmail.com");
  }
  assert.equal(canonical("a.b@example.org"), "a.b@example.org");
});

test("what is not readable stays away", () => {
  const addresses = ["", "ada", "@example.org", "+tag@example.org", "ada@localhost", "ada@-x.org", "ada@x..org",
    "ada@exämple.org", '"a b"@example.org', "a@b@example.org", `ada@${"x".repeat(64)}.org`, "\u212a@example.org"];
  for (const address of addresses) assert.equal(canonical(address), undefined, address);
});

test("one slip", () => {
  for (const domain of ["gmial.com", "gmal.com", "gmaill.com", "gmaik.com"]) assert.ok(isMistyped(domain), domain);
  for (const domain of ["gmail.com", "example.org", "mail.com.gmail", "gmial.con"]) assert.ok(!isMistyped(domain), domain);
  assert.ok(!oneSlipApart("aa", "aaab"));
});

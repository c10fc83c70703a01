"""`python3 -m unittest`"""

import unittest

from emails import canonical, is_mistyped, one_slip_apart


class Emails(unittest.TestCase):
    def test_spellings_of_a_mailbox_are_one(self):
        for address in ["ada@example.org", "Ada@EXAMPLE.org", "ada+news@example.org", "ada@example.org."]:
            self.assertEqual(canonical(address), "ada@example.org")
        for address in ["ada.lovelace@gmail.com", "AdaLovelace+x+y@googlemail.com"]:
            self.assertEqual(canonical(address), "adalovelace@gmail.com")
        self.assertEqual(canonical("a.b@example.org"), "a.b@example.org")

    def test_what_is_not_readable_stays_away(self):
        for address in ["", "ada", "@example.org", "+tag@example.org", "ada@localhost", "ada@-x.org", "ada@x..org",
                        "ada@exämple.org", '"a b"@example.org', "a@b@example.org", "ada@" + "x" * 64 + ".org"]:
            self.assertIsNone(canonical(address), address)

    def test_one_slip(self):
        for domain in ["gmial.com", "gmal.com", "gmaill.com", "gmaik.com"]:
            self.assertTrue(is_mistyped(domain), domain)
        for domain in ["gmail.com", "example.org", "mail.com.gmail", "gmial.con"]:
            self.assertFalse(is_mistyped(domain), domain)
        self.assertFalse(one_slip_apart("aa", "a" * 3 + "b"))


if __name__ == "__main__":
    unittest.main()

-- Looked at before the commit: every row must be true, and the column's name is the claim.
SELECT true AS "{{name}} did what it should";

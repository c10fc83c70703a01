-- {{name}}
--
-- Runs whole, in one transaction that Lockgate begins and ends.


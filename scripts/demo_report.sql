-- A report that somebody runs with psql every Monday.
SELECT email, created_on FROM users WHERE email LIKE 'a%' ORDER BY email;

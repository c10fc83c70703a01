//! Foreign data wrappers, servers and user mappings. Of their options only digests are told, too short to guess from: they may be secret.

/// See the module above.
pub(super) const SQL: &[&str] = &[WRAPPERS, SERVERS, USER_MAPPINGS];

const WRAPPERS: &str = "
SELECT 'foreign data wrapper', quote_ident(w.fdwname), 'FOREIGN DATA WRAPPER ' || quote_ident(w.fdwname), 'pg_foreign_data_wrapper:' || w.oid || ':0',
    NULL, NULL, quote_ident(pg_get_userbyid(w.fdwowner)), 'CREATE FOREIGN DATA WRAPPER ' || quote_ident(w.fdwname),
    concat(' HANDLER ' || nullif(w.fdwhandler, 0)::regproc, ' VALIDATOR ' || nullif(w.fdwvalidator, 0)::regproc,
        (SELECT ' OPTIONS (' || string_agg(split_part(o, '=', 1) || ' (digest '
             || left(encode(sha256(convert_to(o, 'UTF8')), 'hex'), 6) || ')', ', ' ORDER BY o COLLATE \"C\") || ')' FROM unnest(w.fdwoptions) o)), NULL, NULL
FROM pg_foreign_data_wrapper w WHERE w.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_foreign_data_wrapper'::regclass)";

const SERVERS: &str = "
SELECT 'server', quote_ident(s.srvname), 'SERVER ' || quote_ident(s.srvname), 'pg_foreign_server:' || s.oid || ':0',
    NULL, NULL, quote_ident(pg_get_userbyid(s.srvowner)), 'CREATE SERVER ' || quote_ident(s.srvname),
    concat(' TYPE ' || quote_literal(s.srvtype), ' VERSION ' || quote_literal(s.srvversion), ' FOREIGN DATA WRAPPER ', quote_ident(w.fdwname),
        (SELECT ' OPTIONS (' || string_agg(split_part(o, '=', 1) || ' (digest '
             || left(encode(sha256(convert_to(o, 'UTF8')), 'hex'), 6) || ')', ', ' ORDER BY o COLLATE \"C\") || ')' FROM unnest(s.srvoptions) o)), NULL, NULL
FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
WHERE s.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_foreign_server'::regclass)";

/// By way of the view, which shows the options only to those who may see them.
const USER_MAPPINGS: &str = "
SELECT 'user mapping', quote_ident(m.srvname) || ' ' || u.name, NULL, NULL, 'pg_foreign_server:' || m.srvid || ':0', NULL, NULL,
    'CREATE USER MAPPING FOR ' || u.name || ' SERVER ' || quote_ident(m.srvname),
    (SELECT ' OPTIONS (' || string_agg(split_part(o, '=', 1) || ' (digest '
         || left(encode(sha256(convert_to(o, 'UTF8')), 'hex'), 6) || ')', ', ' ORDER BY o COLLATE \"C\") || ')' FROM unnest(m.umoptions) o), NULL, NULL
FROM pg_user_mappings m CROSS JOIN LATERAL (SELECT CASE m.umuser WHEN 0 THEN 'PUBLIC' ELSE quote_ident(m.usename) END AS name) u";

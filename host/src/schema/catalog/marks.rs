//! What is said about objects: privileges, comments, security labels; and the settings of the database.

/// See the module above.
pub(super) const SQL: &[&str] = &[
    PRIVILEGES,
    DEFAULT_PRIVILEGES,
    COMMENTS,
    COLUMN_COMMENTS,
    EXTENSION_DEPENDENCIES,
    SECURITY_LABELS,
    SETTINGS,
    DATABASE,
];

/// What `{changed privileges}` stands for: how the privileges of `a` differ from those that were made with it.
pub(super) const CHANGED_PRIVILEGES: &str = "
SELECT x.grantee, x.privilege_type, 'GRANT' AS verb, ' TO ' AS preposition,
    CASE WHEN bool_or(x.is_grantable) THEN ' WITH GRANT OPTION' ELSE '' END AS option
FROM aclexplode(a.privileges) x
WHERE NOT EXISTS (SELECT FROM aclexplode(a.made) m WHERE (m.grantee, m.privilege_type, m.is_grantable)
                  = (x.grantee, x.privilege_type, x.is_grantable)) GROUP BY x.grantee, x.privilege_type
UNION ALL
SELECT DISTINCT m.grantee, m.privilege_type, 'REVOKE', ' FROM ', '' FROM aclexplode(a.made) m
WHERE NOT EXISTS (SELECT FROM aclexplode(a.privileges) x WHERE (x.grantee, x.privilege_type) = (m.grantee, m.privilege_type))";

/// How the privileges differ from those that an object has when it is made; for what the system or an extension made, from those that
/// it was made with. No privileges at all are the same as those that it has when it is made.
///
/// One object for each grantee, whoever granted it.
const PRIVILEGES: &str = "
, q AS (
    SELECT oid, quote_ident(nspname) || '.' AS q, CASE nspname WHEN 'public' THEN '' ELSE quote_ident(nspname) || '.' END AS p
    FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)'),
acl (kind, parent, word, name, target, columns, made, privileges) AS (
    SELECT 'privilege', 'pg_class:' || c.oid || ':0', CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
            WHEN 'f' THEN 'foreign table' ELSE 'table' END, q.p || quote_ident(c.relname),
        CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || q.q || quote_ident(c.relname), NULL,
        CASE WHEN ip.objoid IS NULL THEN acldefault(CASE c.relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r' END, c.relowner) ELSE ip.initprivs END, c.relacl
    FROM pg_class c JOIN q ON q.oid = c.relnamespace
    LEFT JOIN pg_init_privs ip ON ip.classoid = 'pg_class'::regclass AND ip.objoid = c.oid AND ip.objsubid = 0
    WHERE c.relacl IS NOT NULL AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't' AND c.oid NOT IN (SELECT oid FROM own)
    UNION ALL
    SELECT 'privilege', 'pg_class:' || c.oid || CASE WHEN c.relkind IN ('r', 'p', 'f') THEN ':' || a.attnum ELSE ':0' END, 'column',
        q.p || quote_ident(c.relname) || '.' || quote_ident(a.attname), 'TABLE ' || q.q || quote_ident(c.relname), quote_ident(a.attname),
        ip.initprivs, a.attacl
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN q ON q.oid = c.relnamespace
    LEFT JOIN pg_init_privs ip ON ip.classoid = 'pg_class'::regclass AND ip.objoid = c.oid AND ip.objsubid = a.attnum
    WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND c.relpersistence <> 't' AND c.oid NOT IN (SELECT oid FROM own)
    UNION ALL
    SELECT 'privilege', 'pg_proc:' || f.oid || ':0', CASE f.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
        q.p || quote_ident(f.proname) || '(' || oidvectortypes(f.proargtypes) || ')',
        CASE f.prokind WHEN 'p' THEN 'PROCEDURE ' ELSE 'FUNCTION ' END || q.q || quote_ident(f.proname) || '(' || oidvectortypes(f.proargtypes) || ')',
        NULL, CASE WHEN ip.objoid IS NULL THEN acldefault('f', f.proowner) ELSE ip.initprivs END, f.proacl
    FROM pg_proc f JOIN q ON q.oid = f.pronamespace LEFT JOIN pg_init_privs ip ON ip.classoid = 'pg_proc'::regclass AND ip.objoid = f.oid
    WHERE f.proacl IS NOT NULL AND f.oid NOT IN (SELECT oid FROM own_functions)
    UNION ALL
    SELECT 'privilege', 'pg_namespace:' || n.oid || ':0', 'schema', quote_ident(n.nspname), 'SCHEMA ' || quote_ident(n.nspname), NULL,
        -- The schema `public` may have been dropped and made again: it is not compared with what it was at first.
        CASE WHEN ip.objoid IS NULL OR n.nspname = 'public' THEN acldefault('n', n.nspowner) ELSE ip.initprivs END, n.nspacl
    FROM pg_namespace n LEFT JOIN pg_init_privs ip ON ip.classoid = 'pg_namespace'::regclass AND ip.objoid = n.oid
    WHERE n.nspacl IS NOT NULL AND n.nspname !~ '^pg_(toast|temp)'
    UNION ALL
    SELECT 'privilege', 'pg_type:' || t.oid || ':0', CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END, q.p || quote_ident(t.typname),
        CASE t.typtype WHEN 'd' THEN 'DOMAIN ' ELSE 'TYPE ' END || q.q || quote_ident(t.typname), NULL,
        CASE WHEN ip.objoid IS NULL THEN acldefault('T', t.typowner) ELSE ip.initprivs END, t.typacl
    FROM pg_type t JOIN q ON q.oid = t.typnamespace LEFT JOIN pg_init_privs ip ON ip.classoid = 'pg_type'::regclass AND ip.objoid = t.oid
    WHERE t.typacl IS NOT NULL AND t.typrelid NOT IN (SELECT oid FROM own)
    UNION ALL
    SELECT 'privilege', 'pg_language:' || l.oid || ':0', 'language', quote_ident(l.lanname), 'LANGUAGE ' || quote_ident(l.lanname), NULL,
        CASE WHEN ip.objoid IS NULL THEN acldefault('l', l.lanowner) ELSE ip.initprivs END, l.lanacl
    FROM pg_language l LEFT JOIN pg_init_privs ip ON ip.classoid = 'pg_language'::regclass AND ip.objoid = l.oid WHERE l.lanacl IS NOT NULL
    UNION ALL
    SELECT 'privilege', 'pg_foreign_data_wrapper:' || w.oid || ':0', 'foreign data wrapper', quote_ident(w.fdwname),
        'FOREIGN DATA WRAPPER ' || quote_ident(w.fdwname), NULL,
        CASE WHEN ip.objoid IS NULL THEN acldefault('F', w.fdwowner) ELSE ip.initprivs END, w.fdwacl
    FROM pg_foreign_data_wrapper w LEFT JOIN pg_init_privs ip ON ip.classoid = 'pg_foreign_data_wrapper'::regclass AND ip.objoid = w.oid
    WHERE w.fdwacl IS NOT NULL
    UNION ALL
    SELECT 'privilege', 'pg_foreign_server:' || s.oid || ':0', 'server', quote_ident(s.srvname), 'FOREIGN SERVER ' || quote_ident(s.srvname), NULL,
        CASE WHEN ip.objoid IS NULL THEN acldefault('S', s.srvowner) ELSE ip.initprivs END, s.srvacl
    FROM pg_foreign_server s LEFT JOIN pg_init_privs ip ON ip.classoid = 'pg_foreign_server'::regclass AND ip.objoid = s.oid
    WHERE s.srvacl IS NOT NULL
    UNION ALL
    SELECT 'database privilege', NULL, 'database', '', 'THIS DATABASE', NULL, acldefault('d', d.datdba), d.datacl
    FROM pg_database d WHERE d.datname = current_database() AND d.datacl IS NOT NULL)
SELECT a.kind, concat_ws(' ', a.word, nullif(a.name, ''), 'to', g.grantee), NULL, NULL, a.parent, NULL, NULL, NULL, g.statements, NULL, NULL
FROM (SELECT * FROM acl WHERE privileges IS DISTINCT FROM made) a CROSS JOIN LATERAL (
    SELECT p.grantee, string_agg(p.statement, E';\\n' ORDER BY p.statement COLLATE \"C\") AS statements
    FROM (SELECT CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(e.grantee)) END AS grantee,
              e.verb || ' ' || string_agg(e.privilege_type || coalesce(' (' || a.columns || ')', ''), ', ' ORDER BY e.privilege_type)
                  || ' ON ' || a.target || e.preposition || CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(e.grantee)) END
                  || e.option AS statement
          FROM ({changed privileges}) e
          GROUP BY e.grantee, e.verb, e.preposition, e.option) p
    GROUP BY p.grantee) g";

/// Within a schema, what is said comes on top of what holds everywhere.
const DEFAULT_PRIVILEGES: &str = "
, acl AS (
    SELECT quote_ident(pg_get_userbyid(d.defaclrole)) AS role, quote_ident(n.nspname) AS schema,
        CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS'
            ELSE 'LARGE OBJECTS' END AS what,
        CASE WHEN d.defaclnamespace = 0
            THEN acldefault(CASE d.defaclobjtype WHEN 'S' THEN 's'::\"char\" ELSE d.defaclobjtype END, d.defaclrole) END AS made,
        d.defaclacl AS privileges
    FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = nullif(d.defaclnamespace, 0))
SELECT 'default privilege', concat_ws(' ', lower(a.what), 'by ' || a.role, 'in ' || a.schema, 'to ' || g.grantee), NULL, NULL, NULL, NULL, NULL,
    NULL, g.statements, NULL, NULL
FROM acl a CROSS JOIN LATERAL (
    SELECT p.grantee, string_agg(p.statement, E';\\n' ORDER BY p.statement COLLATE \"C\") AS statements
    FROM (SELECT CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(e.grantee)) END AS grantee,
              'ALTER DEFAULT PRIVILEGES FOR ROLE ' || a.role || coalesce(' IN SCHEMA ' || a.schema, '') || ' ' || e.verb || ' '
                  || string_agg(e.privilege_type, ', ' ORDER BY e.privilege_type) || ' ON ' || a.what || e.preposition
                  || CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(e.grantee)) END || e.option AS statement
          FROM ({changed privileges}) e
          GROUP BY e.grantee, e.verb, e.preposition, e.option) p
    GROUP BY p.grantee) g";

/// Of what is an object here: what is said about others, such as what came with an extension, is left out with them.
const COMMENTS: &str = "
SELECT 'comment', NULL, NULL, NULL, d.classoid::regclass::text || ':' || d.objoid || ':' || d.objsubid, NULL, NULL,
    'COMMENT ON {} IS ', quote_literal(d.description), NULL, NULL
FROM pg_description d LEFT JOIN pg_class c ON d.classoid = 'pg_class'::regclass AND c.oid = d.objoid
WHERE d.objoid >= 16384 AND (d.objsubid = 0 OR c.relkind IN ('r', 'p', 'f'))
UNION ALL
SELECT 'comment', NULL, NULL, NULL, 'pg_namespace:' || d.objoid || ':0', NULL, NULL, 'COMMENT ON {} IS ', quote_literal(d.description), NULL, NULL
FROM pg_description d JOIN pg_namespace n ON n.oid = d.objoid WHERE d.classoid = 'pg_namespace'::regclass AND n.nspname = 'public' AND d.objoid < 16384";

/// Of columns that are no objects here.
const COLUMN_COMMENTS: &str = "
SELECT 'comment', 'column ' || ns.p || quote_ident(c.relname) || '.' || quote_ident(a.attname), NULL, NULL,
    CASE c.relkind WHEN 'c' THEN 'pg_type:' || c.reltype ELSE 'pg_class:' || c.oid END || ':0', NULL, NULL,
    'COMMENT ON COLUMN ' || ns.q || quote_ident(c.relname) || '.' || quote_ident(a.attname) || ' IS ', quote_literal(d.description), NULL, NULL
FROM pg_description d JOIN pg_class c ON c.oid = d.objoid JOIN ns ON ns.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid
WHERE d.classoid = 'pg_class'::regclass AND d.objsubid > 0 AND c.relkind IN ('v', 'm', 'c')
    AND c.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_class'::regclass)
    AND c.reltype NOT IN (SELECT objid FROM member WHERE classid = 'pg_type'::regclass)";

/// What goes when an extension goes. An index of a constraint is told with that.
const EXTENSION_DEPENDENCIES: &str = "
SELECT 'extension dependency', NULL, NULL, NULL,
    coalesce('pg_constraint:' || x.oid || ':0', d.classid::regclass::text || ':' || d.objid || ':' || d.objsubid), NULL, NULL,
    'ALTER ' || coalesce('INDEX ' || x.conindid::regclass, '{}') || ' DEPENDS ON EXTENSION ',
    string_agg(quote_ident(e.extname), ', ' ORDER BY e.extname COLLATE \"C\"), NULL, NULL
FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
LEFT JOIN pg_constraint x ON d.classid = 'pg_class'::regclass AND x.conindid = d.objid AND x.contype IN ('p', 'u', 'x')
WHERE d.deptype = 'x' GROUP BY d.classid, d.objid, d.objsubid, x.oid, x.conindid";

const SECURITY_LABELS: &str = "
SELECT 'security label', NULL, NULL, NULL, l.classoid::regclass::text || ':' || l.objoid || ':' || l.objsubid, NULL, NULL,
    'SECURITY LABEL FOR ' || quote_ident(l.provider) || ' ON {} IS ', quote_literal(l.label), NULL, NULL
FROM pg_seclabel l WHERE l.objoid >= 16384";

/// A setting's value stands after the first equals sign.
const SETTINGS: &str = "
SELECT CASE s.setrole WHEN 0 THEN 'setting' ELSE 'role setting' END,
    v.name || CASE s.setrole WHEN 0 THEN '' ELSE ' of ' || quote_ident(pg_get_userbyid(s.setrole)) END, NULL, NULL, NULL, NULL, NULL, NULL,
    concat('ALTER ', 'ROLE ' || quote_ident(pg_get_userbyid(nullif(s.setrole, 0))) || ' IN ', 'THIS DATABASE SET ', v.name, ' = ', quote_literal(v.value)),
    NULL, NULL
FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) c
CROSS JOIN LATERAL (SELECT split_part(c, '=', 1) AS name, substr(c, strpos(c, '=') + 1) AS value) v
WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())";

const DATABASE: &str = "
SELECT 'database owner', 'database', NULL, NULL, NULL, NULL, NULL, NULL,
    'ALTER THIS DATABASE OWNER TO ' || quote_ident(pg_get_userbyid(d.datdba)), NULL, NULL
FROM pg_database d WHERE d.datname = current_database()";

//! Types and domains.

/// See the module above.
pub(super) const SQL: &[&str] = &[TYPES, DOMAINS, DOMAIN_CONSTRAINTS, ENUM_VALUES, ENUM_ORDERS];

/// Neither arrays, nor what a table's rows are, nor what came with a type of ranges.
const TYPES: &str = "
SELECT 'type', ns.p || quote_ident(t.typname), 'TYPE ' || ns.q || quote_ident(t.typname), 'pg_type:' || t.oid || ':0', NULL, NULL,
    quote_ident(pg_get_userbyid(t.typowner)), 'CREATE TYPE ' || ns.q || quote_ident(t.typname) || CASE t.typtype
        WHEN 'e' THEN ' AS ENUM' WHEN 'c' THEN ' AS' WHEN 'r' THEN ' AS RANGE' ELSE '' END,
    CASE t.typtype WHEN 'e' THEN ' (...)'
        WHEN 'c' THEN ' (' || coalesce((SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
            || CASE WHEN a.attcollation NOT IN (0, ty.typcollation) THEN
                (SELECT ' COLLATE ' || quote_ident(cn.nspname) || '.' || quote_ident(c.collname)
                 FROM pg_collation c JOIN pg_namespace cn ON cn.oid = c.collnamespace WHERE c.oid = a.attcollation) ELSE '' END,
            ', ' ORDER BY a.attnum) FROM pg_attribute a JOIN pg_type ty ON ty.oid = a.atttypid
            WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '') || ')'
        WHEN 'r' THEN (SELECT ' (' || concat_ws(', ', 'SUBTYPE = ' || format_type(r.rngsubtype, NULL),
                'SUBTYPE_OPCLASS = ' || (SELECT quote_ident(cn.nspname) || '.' || quote_ident(opcname) FROM pg_opclass o
                     JOIN pg_namespace cn ON cn.oid = o.opcnamespace WHERE o.oid = r.rngsubopc),
                'COLLATION = ' || (SELECT quote_ident(cn.nspname) || '.' || quote_ident(collname) FROM pg_collation c
                     JOIN pg_namespace cn ON cn.oid = c.collnamespace WHERE c.oid = nullif(r.rngcollation, 0)),
                'CANONICAL = ' || nullif(r.rngcanonical, 0)::regproc, 'SUBTYPE_DIFF = ' || nullif(r.rngsubdiff, 0)::regproc,
                'MULTIRANGE_TYPE_NAME = ' || format_type(r.rngmultitypid, NULL)) || ')'
            FROM pg_range r WHERE r.rngtypid = t.oid)
        WHEN 'b' THEN ' (' || concat_ws(', ', 'INPUT = ' || t.typinput, 'OUTPUT = ' || t.typoutput, 'RECEIVE = ' || nullif(t.typreceive, 0)::regproc,
            'SEND = ' || nullif(t.typsend, 0)::regproc, 'TYPMOD_IN = ' || nullif(t.typmodin, 0)::regproc,
            'TYPMOD_OUT = ' || nullif(t.typmodout, 0)::regproc, 'ANALYZE = ' || nullif(t.typanalyze, 0)::regproc,
            'SUBSCRIPT = ' || nullif(t.typsubscript, 0)::regproc, 'INTERNALLENGTH = ' || t.typlen,
            CASE WHEN t.typbyval THEN 'PASSEDBYVALUE' END, 'ALIGNMENT = ' || t.typalign::text, 'STORAGE = ' || t.typstorage::text,
            'CATEGORY = ' || quote_literal(t.typcategory::text), CASE WHEN t.typispreferred THEN 'PREFERRED' END,
            'DEFAULT = ' || quote_literal(t.typdefault), 'ELEMENT = ' || format_type(nullif(t.typelem, 0), NULL),
            'DELIMITER = ' || quote_literal(t.typdelim::text), CASE WHEN t.typcollation <> 0 THEN 'COLLATABLE' END) || ')' END, NULL, NULL
FROM pg_type t JOIN ns ON ns.oid = t.typnamespace
WHERE t.typtype IN ('e', 'c', 'r', 'b', 'p') AND t.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_type'::regclass)
    AND (t.typtype <> 'c' OR EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
    AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)";

const DOMAINS: &str = "
SELECT 'domain', ns.p || quote_ident(t.typname), 'DOMAIN ' || ns.q || quote_ident(t.typname), 'pg_type:' || t.oid || ':0', NULL, NULL,
    quote_ident(pg_get_userbyid(t.typowner)), 'CREATE DOMAIN ' || ns.q || quote_ident(t.typname),
    concat(' AS ', format_type(t.typbasetype, t.typtypmod),
        CASE WHEN t.typcollation NOT IN (0, b.typcollation) THEN
            (SELECT ' COLLATE ' || quote_ident(cn.nspname) || '.' || quote_ident(c.collname)
             FROM pg_collation c JOIN pg_namespace cn ON cn.oid = c.collnamespace WHERE c.oid = t.typcollation) END,
        ' DEFAULT ' || coalesce(pg_get_expr(t.typdefaultbin, 0), quote_literal(t.typdefault)), CASE WHEN t.typnotnull THEN ' NOT NULL' END), NULL, NULL
FROM pg_type t JOIN ns ON ns.oid = t.typnamespace JOIN pg_type b ON b.oid = t.typbasetype
WHERE t.typtype = 'd' AND t.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_type'::regclass)";

const DOMAIN_CONSTRAINTS: &str = "
SELECT 'constraint', ns.p || quote_ident(t.typname) || '.' || quote_ident(x.conname),
    'CONSTRAINT ' || quote_ident(x.conname) || ' ON DOMAIN ' || ns.q || quote_ident(t.typname), 'pg_constraint:' || x.oid || ':0',
    'pg_type:' || t.oid || ':0', NULL, NULL, 'ALTER DOMAIN ' || ns.q || quote_ident(t.typname) || ' ADD ',
    'CONSTRAINT ' || quote_ident(x.conname) || ' ' || pg_get_constraintdef(x.oid), NULL, NULL
FROM pg_constraint x JOIN pg_type t ON t.oid = x.contypid JOIN ns ON ns.oid = t.typnamespace
WHERE x.contype <> 'n' AND t.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_type'::regclass)";

const ENUM_VALUES: &str = "
SELECT 'enum value', ns.p || quote_ident(t.typname) || ' ' || quote_literal(e.enumlabel), NULL, NULL, 'pg_type:' || t.oid || ':0', NULL, NULL,
    'ALTER TYPE ' || ns.q || quote_ident(t.typname) || ' ADD VALUE ', quote_literal(e.enumlabel), NULL, quote_literal(e.enumlabel)
FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid JOIN ns ON ns.oid = t.typnamespace
WHERE t.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_type'::regclass)";

const ENUM_ORDERS: &str = "
SELECT 'enum order', ns.p || quote_ident(t.typname), NULL, NULL, 'pg_type:' || t.oid || ':0', NULL, NULL, NULL,
    json_agg(quote_literal(e.enumlabel) ORDER BY e.enumsortorder)::text, NULL, NULL
FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid JOIN ns ON ns.oid = t.typnamespace
WHERE t.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_type'::regclass) GROUP BY t.oid, ns.p, t.typname";

//! Functions, procedures, aggregates; operators, their families and classes; casts and transforms.

/// See the module above.
pub(super) const SQL: &[&str] =
    &[FUNCTIONS, AGGREGATES, OPERATORS, OPERATOR_FAMILIES, OPERATOR_CLASSES, CASTS, TRANSFORMS];

/// What the server made for a type of ranges is told with that.
const FUNCTIONS: &str = "
SELECT k.kind, ns.p || quote_ident(f.proname) || '(' || oidvectortypes(f.proargtypes) || ')',
    upper(k.kind) || ' ' || ns.q || quote_ident(f.proname) || '(' || oidvectortypes(f.proargtypes) || ')', 'pg_proc:' || f.oid || ':0',
    NULL, NULL, quote_ident(pg_get_userbyid(f.proowner)), NULL, rtrim(pg_get_functiondef(f.oid), E'\\n'), NULL, NULL
FROM pg_proc f JOIN ns ON ns.oid = f.pronamespace CROSS JOIN LATERAL (SELECT CASE f.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END AS kind) k
WHERE f.prokind <> 'a' AND f.oid NOT IN (SELECT oid FROM own_functions)
    AND f.oid NOT IN (SELECT objid FROM pg_depend WHERE classid = 'pg_proc'::regclass AND deptype IN ('e', 'i'))";

const AGGREGATES: &str = "
SELECT 'aggregate', ns.p || quote_ident(f.proname) || '(' || oidvectortypes(f.proargtypes) || ')',
    'AGGREGATE ' || ns.q || quote_ident(f.proname) || '(' || pg_get_function_identity_arguments(f.oid) || ')', 'pg_proc:' || f.oid || ':0',
    NULL, NULL, quote_ident(pg_get_userbyid(f.proowner)),
    'CREATE AGGREGATE ' || ns.q || quote_ident(f.proname) || '(' || pg_get_function_identity_arguments(f.oid) || ')',
    ' (' || concat_ws(', ', 'SFUNC = ' || a.aggtransfn::regproc, 'STYPE = ' || format_type(a.aggtranstype, NULL),
        'SSPACE = ' || nullif(a.aggtransspace, 0), 'FINALFUNC = ' || nullif(a.aggfinalfn, 0)::regproc,
        CASE WHEN a.aggfinalextra THEN 'FINALFUNC_EXTRA' END, 'FINALFUNC_MODIFY = ' || a.aggfinalmodify::text,
        'COMBINEFUNC = ' || nullif(a.aggcombinefn, 0)::regproc, 'SERIALFUNC = ' || nullif(a.aggserialfn, 0)::regproc,
        'DESERIALFUNC = ' || nullif(a.aggdeserialfn, 0)::regproc, 'INITCOND = ' || quote_literal(a.agginitval),
        'MSFUNC = ' || nullif(a.aggmtransfn, 0)::regproc, 'MINVFUNC = ' || nullif(a.aggminvtransfn, 0)::regproc,
        'MSTYPE = ' || format_type(nullif(a.aggmtranstype, 0), NULL), 'MSSPACE = ' || nullif(a.aggmtransspace, 0),
        'MFINALFUNC = ' || nullif(a.aggmfinalfn, 0)::regproc, CASE WHEN a.aggmfinalextra THEN 'MFINALFUNC_EXTRA' END,
        CASE WHEN a.aggmtransfn <> 0 THEN 'MFINALFUNC_MODIFY = ' || a.aggmfinalmodify::text END,
        'MINITCOND = ' || quote_literal(a.aggminitval), 'SORTOP = ' || nullif(a.aggsortop, 0)::regoperator,
        CASE WHEN a.aggkind = 'h' THEN 'HYPOTHETICAL' END,
        CASE f.proparallel WHEN 's' THEN 'PARALLEL = SAFE' WHEN 'r' THEN 'PARALLEL = RESTRICTED' END) || ')', NULL, NULL
FROM pg_proc f JOIN ns ON ns.oid = f.pronamespace JOIN pg_aggregate a ON a.aggfnoid = f.oid
WHERE f.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_proc'::regclass)";

const OPERATORS: &str = "
SELECT 'operator', ns.p || o.oprname || '(' || t.types || ')', 'OPERATOR ' || ns.q || o.oprname || ' (' || t.types || ')',
    'pg_operator:' || o.oid || ':0', NULL, NULL, quote_ident(pg_get_userbyid(o.oprowner)),
    'CREATE OPERATOR ' || ns.q || o.oprname,
    ' (' || concat_ws(', ', 'FUNCTION = ' || nullif(o.oprcode, 0)::regproc, 'LEFTARG = ' || format_type(nullif(o.oprleft, 0), NULL),
        'RIGHTARG = ' || format_type(nullif(o.oprright, 0), NULL), 'COMMUTATOR = ' || nullif(o.oprcom, 0)::regoperator,
        'NEGATOR = ' || nullif(o.oprnegate, 0)::regoperator, 'RESTRICT = ' || nullif(o.oprrest, 0)::regproc,
        'JOIN = ' || nullif(o.oprjoin, 0)::regproc, CASE WHEN o.oprcanhash THEN 'HASHES' END, CASE WHEN o.oprcanmerge THEN 'MERGES' END) || ')',
    NULL, NULL
FROM pg_operator o JOIN ns ON ns.oid = o.oprnamespace
CROSS JOIN LATERAL (SELECT coalesce(format_type(nullif(o.oprleft, 0), NULL), 'NONE') || ', '
    || coalesce(format_type(nullif(o.oprright, 0), NULL), 'NONE') AS types) t
WHERE o.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_operator'::regclass)";

const OPERATOR_FAMILIES: &str = "
SELECT 'operator family', ns.p || quote_ident(f.opfname) || ' ' || am.amname,
    'OPERATOR FAMILY ' || ns.q || quote_ident(f.opfname) || ' USING ' || am.amname, 'pg_opfamily:' || f.oid || ':0', NULL, NULL,
    quote_ident(pg_get_userbyid(f.opfowner)), 'CREATE OPERATOR FAMILY ' || ns.q || quote_ident(f.opfname) || ' USING ' || am.amname,
    concat(
        (SELECT string_agg(E'\\n    OPERATOR ' || o.amopstrategy || ' ' || o.amopopr::regoperator
             || coalesce(' FOR ORDER BY ' || quote_ident(s.opfname), ''), ',' ORDER BY o.amopstrategy, o.amopopr::regoperator::text COLLATE \"C\")
         FROM pg_amop o LEFT JOIN pg_opfamily s ON s.oid = nullif(o.amopsortfamily, 0) WHERE o.amopfamily = f.oid),
        (SELECT string_agg(E'\\n    FUNCTION ' || p.amprocnum || ' (' || format_type(p.amproclefttype, NULL) || ', '
             || format_type(p.amprocrighttype, NULL) || ') ' || p.amproc::oid::regprocedure, ','
             ORDER BY p.amprocnum, p.amproc::oid::regprocedure::text COLLATE \"C\") FROM pg_amproc p WHERE p.amprocfamily = f.oid)), NULL, NULL
FROM pg_opfamily f JOIN ns ON ns.oid = f.opfnamespace JOIN pg_am am ON am.oid = f.opfmethod
WHERE f.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_opfamily'::regclass)";

const OPERATOR_CLASSES: &str = "
SELECT 'operator class', ns.p || quote_ident(c.opcname) || ' ' || am.amname,
    'OPERATOR CLASS ' || ns.q || quote_ident(c.opcname) || ' USING ' || am.amname, 'pg_opclass:' || c.oid || ':0', NULL, NULL,
    quote_ident(pg_get_userbyid(c.opcowner)), 'CREATE OPERATOR CLASS ' || ns.q || quote_ident(c.opcname),
    concat(CASE WHEN c.opcdefault THEN ' DEFAULT' END, ' FOR TYPE ', format_type(c.opcintype, NULL), ' USING ', am.amname,
        ' FAMILY ', quote_ident(fn.nspname), '.', quote_ident(f.opfname), ' AS STORAGE ' || format_type(nullif(c.opckeytype, 0), NULL)), NULL, NULL
FROM pg_opclass c JOIN ns ON ns.oid = c.opcnamespace JOIN pg_am am ON am.oid = c.opcmethod
JOIN pg_opfamily f ON f.oid = c.opcfamily JOIN pg_namespace fn ON fn.oid = f.opfnamespace
WHERE c.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_opclass'::regclass)";

/// Numbers below 16384 are the system's own.
const CASTS: &str = "
SELECT 'cast', t.types, 'CAST ' || t.types, 'pg_cast:' || c.oid || ':0', NULL, NULL, NULL, 'CREATE CAST ' || t.types,
    concat(CASE c.castmethod WHEN 'f' THEN ' WITH FUNCTION ' || c.castfunc::regprocedure WHEN 'i' THEN ' WITH INOUT' ELSE ' WITHOUT FUNCTION' END,
        CASE c.castcontext WHEN 'a' THEN ' AS ASSIGNMENT' WHEN 'i' THEN ' AS IMPLICIT' END), NULL, NULL
FROM pg_cast c
CROSS JOIN LATERAL (SELECT '(' || format_type(c.castsource, NULL) || ' AS ' || format_type(c.casttarget, NULL) || ')' AS types) t
WHERE c.oid >= 16384 AND c.oid NOT IN (SELECT objid FROM pg_depend WHERE classid = 'pg_cast'::regclass AND deptype IN ('e', 'i'))";

const TRANSFORMS: &str = "
SELECT 'transform', format_type(t.trftype, NULL) || ' ' || quote_ident(l.lanname),
    'TRANSFORM FOR ' || format_type(t.trftype, NULL) || ' LANGUAGE ' || quote_ident(l.lanname), 'pg_transform:' || t.oid || ':0', NULL, NULL, NULL,
    'CREATE TRANSFORM FOR ' || format_type(t.trftype, NULL) || ' LANGUAGE ' || quote_ident(l.lanname),
    ' (' || concat_ws(', ', 'FROM SQL WITH FUNCTION ' || nullif(t.trffromsql, 0)::regprocedure,
        'TO SQL WITH FUNCTION ' || nullif(t.trftosql, 0)::regprocedure) || ')', NULL, NULL
FROM pg_transform t JOIN pg_language l ON l.oid = t.trflang
WHERE t.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_transform'::regclass)";

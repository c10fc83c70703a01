//! Extensions, languages, collations, text search, event triggers, publications and subscriptions.

/// See the module above.
pub(super) const SQL: &[&str] = &[
    EXTENSIONS,
    LANGUAGES,
    ACCESS_METHODS,
    COLLATIONS,
    CONVERSIONS,
    PARSERS,
    TEMPLATES,
    DICTIONARIES,
    CONFIGURATIONS,
    EVENT_TRIGGERS,
    PUBLICATIONS,
    SUBSCRIPTIONS,
];

const EXTENSIONS: &str = "
SELECT 'extension', quote_ident(e.extname), 'EXTENSION ' || quote_ident(e.extname), 'pg_extension:' || e.oid || ':0', NULL, NULL, NULL,
    'CREATE EXTENSION ' || quote_ident(e.extname),
    ' WITH SCHEMA ' || quote_ident(n.nspname) || ' VERSION ' || quote_literal(e.extversion), NULL, NULL
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace";

const LANGUAGES: &str = "
SELECT 'language', quote_ident(l.lanname), 'LANGUAGE ' || quote_ident(l.lanname), 'pg_language:' || l.oid || ':0', NULL, NULL,
    quote_ident(pg_get_userbyid(l.lanowner)), 'CREATE ' || CASE WHEN l.lanpltrusted THEN 'TRUSTED ' ELSE '' END || 'LANGUAGE ' || quote_ident(l.lanname),
    concat(' HANDLER ' || nullif(l.lanplcallfoid, 0)::regproc, ' INLINE ' || nullif(l.laninline, 0)::regproc,
        ' VALIDATOR ' || nullif(l.lanvalidator, 0)::regproc), NULL, NULL
FROM pg_language l WHERE l.oid >= 16384 AND l.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_language'::regclass)";

const ACCESS_METHODS: &str = "
SELECT 'access method', quote_ident(a.amname), 'ACCESS METHOD ' || quote_ident(a.amname), 'pg_am:' || a.oid || ':0', NULL, NULL, NULL,
    'CREATE ACCESS METHOD ' || quote_ident(a.amname), ' TYPE ' || CASE a.amtype WHEN 't' THEN 'TABLE' ELSE 'INDEX' END || ' HANDLER ' || a.amhandler,
    NULL, NULL
FROM pg_am a WHERE a.oid >= 16384 AND a.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_am'::regclass)";

const COLLATIONS: &str = "
SELECT 'collation', ns.p || quote_ident(c.collname), 'COLLATION ' || ns.q || quote_ident(c.collname), 'pg_collation:' || c.oid || ':0', NULL, NULL,
    quote_ident(pg_get_userbyid(c.collowner)), 'CREATE COLLATION ' || ns.q || quote_ident(c.collname),
    ' (' || concat_ws(', ', 'PROVIDER = ' || CASE c.collprovider WHEN 'i' THEN 'icu' WHEN 'c' THEN 'libc' WHEN 'b' THEN 'builtin' ELSE 'default' END,
        CASE WHEN NOT c.collisdeterministic THEN 'DETERMINISTIC = false' END, 'LOCALE = ' || quote_literal(c.{locale}),
        'LC_COLLATE = ' || quote_literal(c.collcollate), 'LC_CTYPE = ' || quote_literal(c.collctype), 'RULES = ' || quote_literal({rules})) || ')',
    NULL, NULL
FROM pg_collation c JOIN ns ON ns.oid = c.collnamespace WHERE c.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_collation'::regclass)";

const CONVERSIONS: &str = "
SELECT 'conversion', ns.p || quote_ident(c.conname), 'CONVERSION ' || ns.q || quote_ident(c.conname), 'pg_conversion:' || c.oid || ':0', NULL, NULL,
    quote_ident(pg_get_userbyid(c.conowner)),
    'CREATE ' || CASE WHEN c.condefault THEN 'DEFAULT ' ELSE '' END || 'CONVERSION ' || ns.q || quote_ident(c.conname),
    concat(' FOR ', quote_literal(pg_encoding_to_char(c.conforencoding)), ' TO ', quote_literal(pg_encoding_to_char(c.contoencoding)),
        ' FROM ', c.conproc), NULL, NULL
FROM pg_conversion c JOIN ns ON ns.oid = c.connamespace WHERE c.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_conversion'::regclass)";

const PARSERS: &str = "
SELECT 'text search parser', ns.p || quote_ident(p.prsname), 'TEXT SEARCH PARSER ' || ns.q || quote_ident(p.prsname),
    'pg_ts_parser:' || p.oid || ':0', NULL, NULL, NULL, 'CREATE TEXT SEARCH PARSER ' || ns.q || quote_ident(p.prsname),
    concat(' (START = ', p.prsstart, ', GETTOKEN = ', p.prstoken, ', END = ', p.prsend, ', HEADLINE = ' || nullif(p.prsheadline, 0)::regproc,
        ', LEXTYPES = ', p.prslextype, ')'), NULL, NULL
FROM pg_ts_parser p JOIN ns ON ns.oid = p.prsnamespace WHERE p.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_ts_parser'::regclass)";

const TEMPLATES: &str = "
SELECT 'text search template', ns.p || quote_ident(t.tmplname), 'TEXT SEARCH TEMPLATE ' || ns.q || quote_ident(t.tmplname),
    'pg_ts_template:' || t.oid || ':0', NULL, NULL, NULL, 'CREATE TEXT SEARCH TEMPLATE ' || ns.q || quote_ident(t.tmplname),
    concat(' (INIT = ' || nullif(t.tmplinit, 0)::regproc || ',', ' LEXIZE = ', t.tmpllexize, ')'), NULL, NULL
FROM pg_ts_template t JOIN ns ON ns.oid = t.tmplnamespace WHERE t.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_ts_template'::regclass)";

const DICTIONARIES: &str = "
SELECT 'text search dictionary', ns.p || quote_ident(d.dictname), 'TEXT SEARCH DICTIONARY ' || ns.q || quote_ident(d.dictname),
    'pg_ts_dict:' || d.oid || ':0', NULL, NULL, quote_ident(pg_get_userbyid(d.dictowner)),
    'CREATE TEXT SEARCH DICTIONARY ' || ns.q || quote_ident(d.dictname),
    concat(' (TEMPLATE = ', quote_ident(tn.nspname), '.', quote_ident(t.tmplname), ', ' || d.dictinitoption, ')'), NULL, NULL
FROM pg_ts_dict d JOIN ns ON ns.oid = d.dictnamespace JOIN pg_ts_template t ON t.oid = d.dicttemplate JOIN pg_namespace tn ON tn.oid = t.tmplnamespace
WHERE d.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_ts_dict'::regclass)";

const CONFIGURATIONS: &str = "
SELECT 'text search configuration', ns.p || quote_ident(c.cfgname), 'TEXT SEARCH CONFIGURATION ' || ns.q || quote_ident(c.cfgname),
    'pg_ts_config:' || c.oid || ':0', NULL, NULL, quote_ident(pg_get_userbyid(c.cfgowner)),
    'CREATE TEXT SEARCH CONFIGURATION ' || ns.q || quote_ident(c.cfgname),
    ' (PARSER = ' || quote_ident(pn.nspname) || '.' || quote_ident(p.prsname) || ')',
    (SELECT string_agg(E';\\nALTER TEXT SEARCH CONFIGURATION ' || ns.q || quote_ident(c.cfgname) || ' ADD MAPPING FOR ' || m.alias || ' WITH ' || m.dicts,
         '' ORDER BY m.alias COLLATE \"C\")
     FROM (SELECT tt.alias, string_agg(quote_ident(dn.nspname) || '.' || quote_ident(d.dictname), ', ' ORDER BY m.mapseqno) AS dicts
           FROM pg_ts_config_map m JOIN pg_ts_dict d ON d.oid = m.mapdict JOIN pg_namespace dn ON dn.oid = d.dictnamespace
           JOIN ts_token_type(c.cfgparser) tt ON tt.tokid = m.maptokentype WHERE m.mapcfg = c.oid GROUP BY tt.alias) m), NULL
FROM pg_ts_config c JOIN ns ON ns.oid = c.cfgnamespace JOIN pg_ts_parser p ON p.oid = c.cfgparser JOIN pg_namespace pn ON pn.oid = p.prsnamespace
WHERE c.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_ts_config'::regclass)";

const EVENT_TRIGGERS: &str = "
SELECT 'event trigger', quote_ident(e.evtname), 'EVENT TRIGGER ' || quote_ident(e.evtname), 'pg_event_trigger:' || e.oid || ':0', NULL, NULL,
    quote_ident(pg_get_userbyid(e.evtowner)), 'CREATE EVENT TRIGGER ' || quote_ident(e.evtname),
    concat(' ON ', e.evtevent, (SELECT ' WHEN TAG IN (' || string_agg(quote_literal(tag), ', ' ORDER BY tag COLLATE \"C\") || ')' FROM unnest(e.evttags) tag),
        ' EXECUTE FUNCTION ', e.evtfoid::regproc, '()'),
    CASE e.evtenabled WHEN 'O' THEN NULL ELSE E';\\nALTER EVENT TRIGGER ' || quote_ident(e.evtname)
        || CASE e.evtenabled WHEN 'D' THEN ' DISABLE' WHEN 'R' THEN ' ENABLE REPLICA' ELSE ' ENABLE ALWAYS' END END, NULL
FROM pg_event_trigger e WHERE e.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_event_trigger'::regclass)";

const PUBLICATIONS: &str = "
SELECT 'publication', quote_ident(p.pubname), 'PUBLICATION ' || quote_ident(p.pubname), 'pg_publication:' || p.oid || ':0', NULL, NULL,
    quote_ident(pg_get_userbyid(p.pubowner)), 'CREATE PUBLICATION ' || quote_ident(p.pubname),
    concat(CASE WHEN p.puballtables THEN ' FOR ALL TABLES' END,
        ' FOR ' || nullif(concat_ws(', ',
            (SELECT string_agg(t.told, ', ' ORDER BY t.told COLLATE \"C\")
             FROM (SELECT concat('TABLE ', pn.q, quote_ident(c.relname),
                       (SELECT ' (' || string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname COLLATE \"C\") || ')' FROM pg_attribute a
                        WHERE a.attrelid = c.oid AND a.attnum = ANY (r.prattrs)),
                       ' WHERE ' || pg_get_expr(r.prqual, r.prrelid)) AS told
                   FROM pg_publication_rel r JOIN pg_class c ON c.oid = r.prrelid JOIN ns pn ON pn.oid = c.relnamespace
                   WHERE r.prpubid = p.oid AND c.oid NOT IN (SELECT oid FROM own)) t),
            (SELECT string_agg('TABLES IN SCHEMA ' || quote_ident(n.nspname), ', ' ORDER BY n.nspname COLLATE \"C\")
             FROM pg_publication_namespace s JOIN pg_namespace n ON n.oid = s.pnnspid WHERE s.pnpubid = p.oid)), ''),
        ' WITH (publish = ''', concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
            CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END), '''',
        CASE WHEN p.pubviaroot THEN ', publish_via_partition_root = true' END,
        ', publish_generated_columns = ' || nullif(to_jsonb(p) ->> 'pubgencols', 'n'), ')'), NULL, NULL
FROM pg_publication p WHERE p.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_publication'::regclass)";

/// Who may not see where a subscription connects to may still see that it is there.
const SUBSCRIPTIONS: &str = "
SELECT 'subscription', quote_ident(s.subname), 'SUBSCRIPTION ' || quote_ident(s.subname), 'pg_subscription:' || s.oid || ':0', NULL, NULL,
    quote_ident(pg_get_userbyid(s.subowner)), 'CREATE SUBSCRIPTION ' || quote_ident(s.subname),
    ' PUBLICATION ' || (SELECT string_agg(quote_ident(name), ', ' ORDER BY name COLLATE \"C\") FROM unnest(s.subpublications) name)
        || CASE WHEN s.subenabled THEN '' ELSE ' WITH (enabled = false)' END, NULL, NULL
FROM pg_subscription s WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())";

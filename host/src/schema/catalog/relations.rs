//! Schemas, tables, columns, and everything that belongs to tables; sequences and views.

/// See the module above.
pub(super) const SQL: &[&str] = &[
    SCHEMAS,
    TABLES,
    PARTITIONS,
    COLUMNS,
    ORDERS,
    DEFAULTS,
    COLUMN_SETTINGS,
    INDEX_SETTINGS,
    SEQUENCES,
    CONSTRAINTS,
    DISABLED_CONSTRAINTS,
    INDEXES,
    MARKED_INDEXES,
    TABLE_SETTINGS,
    POLICIES,
    VIEWS,
    POPULATIONS,
    RULES,
    TRIGGERS,
    STATISTICS,
];

const SCHEMAS: &str = "
SELECT 'schema', quote_ident(n.nspname), 'SCHEMA ' || quote_ident(n.nspname), 'pg_namespace:' || n.oid || ':0', NULL, NULL,
    quote_ident(pg_get_userbyid(n.nspowner)), 'CREATE SCHEMA ' || quote_ident(n.nspname), NULL, NULL, NULL
FROM pg_namespace n WHERE n.oid IN (SELECT oid FROM ns) AND n.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_namespace'::regclass)";

const TABLES: &str = "
SELECT r.kind, r.name, upper(r.kind) || ' ' || r.full, 'pg_class:' || r.oid || ':0', NULL, NULL, quote_ident(pg_get_userbyid(r.relowner)),
    concat('CREATE ', CASE r.relpersistence WHEN 'u' THEN 'UNLOGGED ' END, upper(r.kind), ' ', r.full,
        ' OF ' || format_type(nullif(r.reloftype, 0), NULL)),
    ' (...)',
    concat(
        (SELECT ' INHERITS (' || string_agg(ip.q || quote_ident(p.relname), ', ' ORDER BY i.inhseqno) || ')'
         FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent JOIN ns ip ON ip.oid = p.relnamespace
         WHERE i.inhrelid = r.oid AND NOT r.relispartition),
        CASE r.relkind WHEN 'p' THEN ' PARTITION BY ' || pg_get_partkeydef(r.oid) END,
        (SELECT ' SERVER ' || quote_ident(s.srvname) || coalesce(
             (SELECT ' OPTIONS (' || string_agg(split_part(o, '=', 1) || ' (digest '
                  || left(encode(sha256(convert_to(o, 'UTF8')), 'hex'), 6) || ')', ', ' ORDER BY o COLLATE \"C\") || ')' FROM unnest(f.ftoptions) o), '')
         FROM pg_foreign_table f JOIN pg_foreign_server s ON s.oid = f.ftserver WHERE f.ftrelid = r.oid),
        (SELECT ' USING ' || quote_ident(amname) FROM pg_am WHERE pg_am.oid = r.relam AND amname <> 'heap'),
        (SELECT ' WITH (' || string_agg(o, ', ' ORDER BY o COLLATE \"C\") || ')'
         FROM (SELECT unnest(r.reloptions) o
               UNION ALL SELECT 'toast.' || unnest(t.reloptions) FROM pg_class t WHERE t.oid = nullif(r.reltoastrelid, 0)) o),
        (SELECT ' TABLESPACE ' || quote_ident(spcname) FROM pg_tablespace s WHERE s.oid = r.reltablespace)), NULL
FROM rel r WHERE r.relkind IN ('r', 'p', 'f')";

const PARTITIONS: &str = "
SELECT 'partition', r.name, NULL, NULL, 'pg_class:' || r.oid || ':0', NULL, NULL,
    'ALTER TABLE ONLY ' || pn.q || quote_ident(p.relname) || ' ATTACH PARTITION ',
    r.full || ' ' || pg_get_expr(r.relpartbound, r.oid), NULL, NULL
FROM rel r JOIN pg_inherits i ON i.inhrelid = r.oid JOIN pg_class p ON p.oid = i.inhparent JOIN ns pn ON pn.oid = p.relnamespace
WHERE r.relispartition AND NOT i.inhdetachpending";

/// A NOT NULL of 18 has a name, which is told where it is not the one that it gets by itself, nor inherited.
const COLUMNS: &str = "
SELECT 'column', r.name || '.' || quote_ident(a.attname), 'COLUMN ' || r.full || '.' || quote_ident(a.attname),
    'pg_class:' || r.oid || ':' || a.attnum, 'pg_class:' || r.oid || ':0',
    CASE WHEN a.attinhcount > 0 THEN
        (SELECT 'pg_class:' || p.attrelid || ':' || p.attnum FROM pg_inherits i
         JOIN pg_attribute p ON p.attrelid = i.inhparent AND p.attname = a.attname WHERE i.inhrelid = r.oid ORDER BY i.inhseqno LIMIT 1) END,
    NULL, 'ALTER ' || upper(r.kind) || ' ' || r.full || ' ADD COLUMN ',
    concat(quote_ident(a.attname), ' ', format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attcollation NOT IN (0, t.typcollation) THEN
            (SELECT ' COLLATE ' || quote_ident(cn.nspname) || '.' || quote_ident(c.collname)
             FROM pg_collation c JOIN pg_namespace cn ON cn.oid = c.collnamespace WHERE c.oid = a.attcollation) END,
        ' COMPRESSION ' || CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END,
        CASE WHEN a.attgenerated <> '' THEN ' GENERATED ALWAYS AS (' || pg_get_expr(d.adbin, d.adrelid) || ') '
            || CASE a.attgenerated WHEN 's' THEN 'STORED' ELSE 'VIRTUAL' END END,
        CASE WHEN a.attidentity <> '' THEN ' GENERATED ' || CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END || ' AS IDENTITY'
            || coalesce((SELECT ' (' || nullif(concat_ws(' ',
                    CASE WHEN sc.relname <> r.relname || '_' || a.attname || '_seq' OR sc.relnamespace <> r.relnamespace
                        THEN 'SEQUENCE NAME ' || quote_ident(sn.nspname) || '.' || quote_ident(sc.relname) END,
                    CASE WHEN sc.relpersistence <> r.relpersistence THEN CASE sc.relpersistence WHEN 'u' THEN 'UNLOGGED' ELSE 'LOGGED' END END,
                    CASE WHEN s.seqstart <> 1 THEN 'START WITH ' || s.seqstart END,
                    CASE WHEN s.seqincrement <> 1 THEN 'INCREMENT BY ' || s.seqincrement END,
                    CASE WHEN s.seqmin <> 1 THEN 'MINVALUE ' || s.seqmin END,
                    CASE WHEN s.seqmax <> CASE s.seqtypid WHEN 21 THEN 32767 WHEN 23 THEN 2147483647 ELSE 9223372036854775807 END
                        THEN 'MAXVALUE ' || s.seqmax END,
                    CASE WHEN s.seqcache <> 1 THEN 'CACHE ' || s.seqcache END,
                    CASE WHEN s.seqcycle THEN 'CYCLE' END), '') || ')'
                 FROM pg_depend sd JOIN pg_sequence s ON s.seqrelid = sd.objid JOIN pg_class sc ON sc.oid = sd.objid
                 JOIN pg_namespace sn ON sn.oid = sc.relnamespace
                 WHERE sd.classid = 'pg_class'::regclass AND sd.refclassid = 'pg_class'::regclass AND sd.refobjid = r.oid
                     AND sd.refobjsubid = a.attnum AND sd.deptype = 'i'), '') END,
        CASE WHEN a.attnotnull THEN concat(' ',
            CASE WHEN nn.conname <> r.relname || '_' || a.attname || '_not_null' AND NOT (a.attinhcount > 0 AND EXISTS (
                    SELECT FROM pg_inherits i JOIN pg_constraint pn ON pn.conrelid = i.inhparent AND pn.contype = 'n' AND pn.conname = nn.conname
                    WHERE i.inhrelid = r.oid))
                THEN 'CONSTRAINT ' || quote_ident(nn.conname) || ' ' END,
            'NOT NULL', CASE WHEN nn.connoinherit THEN ' NO INHERIT' END, CASE WHEN NOT nn.convalidated THEN ' NOT VALID' END) END),
    NULL, quote_ident(a.attname)
FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_constraint nn ON nn.contype = 'n' AND nn.conrelid = a.attrelid AND nn.conkey = ARRAY[a.attnum]
WHERE r.relkind IN ('r', 'p', 'f')";

/// What a table inherits otherwise than as a partition has no order of its own: after a restore it comes first.
const ORDERS: &str = "
SELECT 'column order', r.name, NULL, NULL, 'pg_class:' || r.oid || ':0', NULL, NULL, NULL,
    json_agg(quote_ident(a.attname) ORDER BY a.attnum)::text, NULL, NULL
FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE r.relkind IN ('r', 'p', 'f') AND (r.relispartition OR a.attinhcount = 0) GROUP BY r.oid, r.name";

const DEFAULTS: &str = "
SELECT 'default', r.name || '.' || quote_ident(a.attname), NULL, NULL,
    'pg_class:' || r.oid || CASE r.relkind WHEN 'v' THEN ':0' ELSE ':' || a.attnum END, NULL, NULL,
    'ALTER ' || upper(r.kind) || ' ' || r.full || ' ALTER COLUMN ' || quote_ident(a.attname) || ' SET',
    ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), NULL, NULL
FROM rel r JOIN pg_attrdef d ON d.adrelid = r.oid JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = d.adnum
WHERE a.attgenerated = '' AND NOT a.attisdropped";

/// How columns are stored and what the planner is told of them. `pg_attver` is no option of anybody's: late minor versions number the
/// definitions of columns there, and `pg_dump` leaves it out.
const COLUMN_SETTINGS: &str = "
SELECT 'column setting', r.name || '.' || quote_ident(a.attname), NULL, NULL,
    'pg_class:' || r.oid || CASE r.relkind WHEN 'm' THEN ':0' ELSE ':' || a.attnum END, NULL, NULL,
    NULL, 'ALTER ' || upper(r.kind) || ' ' || r.full || ' ' || s.settings, NULL, NULL
FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped JOIN pg_type t ON t.oid = a.atttypid
CROSS JOIN LATERAL (SELECT nullif(concat_ws(', ',
    CASE WHEN a.attstorage <> t.typstorage THEN 'ALTER COLUMN ' || quote_ident(a.attname) || ' SET STORAGE '
        || CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END,
    CASE WHEN coalesce(a.attstattarget, -1) <> -1
        THEN 'ALTER COLUMN ' || quote_ident(a.attname) || ' SET STATISTICS ' || a.attstattarget END,
    (SELECT 'ALTER COLUMN ' || quote_ident(a.attname) || ' SET (' || string_agg(o, ', ' ORDER BY o COLLATE \"C\") || ')'
     FROM unnest(a.attoptions) o WHERE o !~ '^pg_attver='),
    (SELECT 'ALTER COLUMN ' || quote_ident(a.attname) || ' OPTIONS (' || string_agg(split_part(o, '=', 1) || ' (digest '
         || left(encode(sha256(convert_to(o, 'UTF8')), 'hex'), 6) || ')', ', ' ORDER BY o COLLATE \"C\") || ')' FROM unnest(a.attfdwoptions) o)),
    '') AS settings) s
WHERE r.relkind IN ('r', 'p', 'f', 'm') AND s.settings IS NOT NULL";

const INDEX_SETTINGS: &str = "
SELECT 'column setting', r.p || quote_ident(ic.relname) || '.' || a.attnum, NULL, NULL, 'pg_class:' || ic.oid || ':0', NULL, NULL,
    NULL, 'ALTER INDEX ' || r.q || quote_ident(ic.relname) || ' ALTER COLUMN ' || a.attnum || ' SET STATISTICS ' || a.attstattarget, NULL, NULL
FROM rel r JOIN pg_index i ON i.indrelid = r.oid JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_attribute a ON a.attrelid = ic.oid
WHERE coalesce(a.attstattarget, -1) <> -1";

/// That of an identity column is told with the column.
const SEQUENCES: &str = "
SELECT 'sequence', r.name, 'SEQUENCE ' || r.full, 'pg_class:' || r.oid || ':0',
    'pg_class:' || d.refobjid || ':' || d.refobjsubid, NULL, quote_ident(pg_get_userbyid(r.relowner)),
    'CREATE ' || CASE r.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END || 'SEQUENCE ' || r.full,
    concat(' AS ', format_type(s.seqtypid, NULL), ' START WITH ', s.seqstart, ' INCREMENT BY ', s.seqincrement,
        ' MINVALUE ', s.seqmin, ' MAXVALUE ', s.seqmax, ' CACHE ', s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' END),
    ' OWNED BY ' || dn.q || quote_ident(dc.relname) || '.' || quote_ident(da.attname), NULL
FROM rel r JOIN pg_sequence s ON s.seqrelid = r.oid
LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
    AND d.deptype IN ('a', 'i')
LEFT JOIN pg_class dc ON dc.oid = d.refobjid LEFT JOIN ns dn ON dn.oid = dc.relnamespace
LEFT JOIN pg_attribute da ON da.attrelid = d.refobjid AND da.attnum = d.refobjsubid
WHERE d.deptype IS DISTINCT FROM 'i'";

/// What is inherited is as it is where it comes from, and NOT NULL is told with its column. A constraint's index is told with it.
const CONSTRAINTS: &str = "
SELECT 'constraint', r.name || '.' || quote_ident(x.conname), 'CONSTRAINT ' || quote_ident(x.conname) || ' ON ' || r.full,
    'pg_constraint:' || x.oid || ':0', 'pg_class:' || r.oid || ':0',
    CASE WHEN x.conparentid <> 0 THEN 'pg_constraint:' || x.conparentid || ':0' END, NULL,
    'ALTER ' || upper(r.kind) || ' ' || r.full || ' ADD ',
    'CONSTRAINT ' || quote_ident(x.conname) || ' ' || pg_get_constraintdef(x.oid),
    CASE WHEN x.contype IN ('p', 'u', 'x') THEN concat(
        (SELECT ' WITH (' || string_agg(o, ', ' ORDER BY o COLLATE \"C\") || ')' FROM unnest(ic.reloptions) o),
        (SELECT ' USING INDEX TABLESPACE ' || quote_ident(spcname) FROM pg_tablespace s WHERE s.oid = ic.reltablespace),
        (SELECT ' /* attached to ' || quote_ident(pc.relname) || ' */' FROM pg_inherits h JOIN pg_class pc ON pc.oid = h.inhparent
         WHERE h.inhrelid = ic.oid),
        (SELECT ' /* invalid */' FROM pg_index i WHERE i.indexrelid = ic.oid AND NOT i.indisvalid)) END, NULL
FROM rel r JOIN pg_constraint x ON x.conrelid = r.oid LEFT JOIN pg_class ic ON ic.oid = nullif(x.conindid, 0)
WHERE x.contype IN ('c', 'p', 'u', 'x', 'f') AND NOT (x.contype = 'c' AND NOT x.conislocal) AND NOT (x.contype = 'f' AND x.conparentid <> 0)";

/// The server enforces foreign keys, and what is deferrable, by triggers of its own, which `DISABLE TRIGGER ALL` disables with all others.
/// Their names have numbers in them, so they are told by their functions; those of a partition are told where they differ from its parent's.
const DISABLED_CONSTRAINTS: &str = "
SELECT 'disabled constraint', r.name || '.' || quote_ident(x.conname), NULL, NULL, 'pg_constraint:' || x.oid || ':0', NULL, NULL, NULL,
    string_agg('ALTER TABLE ' || tn.q || quote_ident(tc.relname)
        || CASE t.tgenabled WHEN 'D' THEN ' DISABLE' WHEN 'R' THEN ' ENABLE REPLICA' ELSE ' ENABLE ALWAYS' END
        || ' TRIGGER ALL /* ' || f.proname || ' of ' || quote_ident(x.conname) || ' */',
        E';\\n' ORDER BY tn.q COLLATE \"C\", tc.relname COLLATE \"C\", f.proname COLLATE \"C\"), NULL, NULL
FROM rel r JOIN pg_constraint x ON x.conrelid = r.oid JOIN pg_trigger t ON t.tgconstraint = x.oid JOIN pg_proc f ON f.oid = t.tgfoid
JOIN pg_class tc ON tc.oid = t.tgrelid JOIN ns tn ON tn.oid = tc.relnamespace LEFT JOIN pg_trigger tp ON tp.oid = nullif(t.tgparentid, 0)
WHERE t.tgisinternal AND t.tgenabled <> 'O' AND (tp.oid IS NULL OR tp.tgenabled <> t.tgenabled)
GROUP BY r.name, x.oid, x.conname";

const INDEXES: &str = "
SELECT 'index', r.p || quote_ident(ic.relname), 'INDEX ' || r.q || quote_ident(ic.relname), 'pg_class:' || ic.oid || ':0',
    'pg_class:' || r.oid || ':0', (SELECT 'pg_class:' || h.inhparent || ':0' FROM pg_inherits h WHERE h.inhrelid = ic.oid), NULL, NULL,
    pg_get_indexdef(ic.oid),
    concat((SELECT ' TABLESPACE ' || quote_ident(spcname) FROM pg_tablespace s WHERE s.oid = ic.reltablespace),
        (SELECT ' /* attached to ' || quote_ident(pc.relname) || ' */' FROM pg_inherits h JOIN pg_class pc ON pc.oid = h.inhparent
         WHERE h.inhrelid = ic.oid),
        CASE WHEN NOT i.indisvalid THEN ' /* invalid */' END), NULL
FROM rel r JOIN pg_index i ON i.indrelid = r.oid JOIN pg_class ic ON ic.oid = i.indexrelid
WHERE NOT EXISTS (SELECT FROM pg_constraint x WHERE x.conindid = ic.oid AND x.conrelid = r.oid AND x.contype IN ('p', 'u', 'x'))";

const MARKED_INDEXES: &str = "
SELECT 'cluster', r.name, NULL, NULL, 'pg_class:' || r.oid || ':0', NULL, NULL,
    NULL, 'ALTER ' || upper(r.kind) || ' ' || r.full || ' CLUSTER ON ' || quote_ident(ic.relname), NULL, NULL
FROM rel r JOIN pg_index i ON i.indrelid = r.oid JOIN pg_class ic ON ic.oid = i.indexrelid WHERE i.indisclustered";

const TABLE_SETTINGS: &str = "
SELECT 'row security', r.name, NULL, NULL, 'pg_class:' || r.oid || ':0', NULL, NULL,
    NULL, 'ALTER TABLE ' || r.full || concat_ws(',', CASE WHEN r.relrowsecurity THEN ' ENABLE ROW LEVEL SECURITY' END,
        CASE WHEN r.relforcerowsecurity THEN ' FORCE ROW LEVEL SECURITY' END), NULL, NULL
FROM rel r WHERE r.relrowsecurity OR r.relforcerowsecurity
UNION ALL
SELECT 'replica identity', r.name, NULL, NULL, 'pg_class:' || r.oid || ':0', NULL, NULL,
    NULL, 'ALTER ' || upper(r.kind) || ' ' || r.full || ' REPLICA IDENTITY ' || CASE r.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING'
        ELSE 'USING INDEX ' || coalesce((SELECT quote_ident(ic.relname) FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid
                                         WHERE i.indrelid = r.oid AND i.indisreplident), '?') END, NULL, NULL
FROM rel r WHERE r.relkind IN ('r', 'p', 'm') AND r.relreplident <> 'd'";

const POLICIES: &str = "
SELECT 'policy', r.name || '.' || quote_ident(p.polname), 'POLICY ' || quote_ident(p.polname) || ' ON ' || r.full,
    'pg_policy:' || p.oid || ':0', 'pg_class:' || r.oid || ':0', NULL, NULL, NULL,
    concat('CREATE POLICY ', quote_ident(p.polname), ' ON ', r.full, CASE WHEN NOT p.polpermissive THEN ' AS RESTRICTIVE' END,
        ' FOR ' || CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' END,
        CASE WHEN p.polroles <> ARRAY[0::oid] THEN
            (SELECT ' TO ' || string_agg(role, ', ' ORDER BY role COLLATE \"C\")
             FROM (SELECT CASE o WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(o)) END AS role FROM unnest(p.polroles) o) roles) END,
        ' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'), NULL, NULL
FROM rel r JOIN pg_policy p ON p.polrelid = r.oid";

const VIEWS: &str = "
SELECT r.kind, r.name, upper(r.kind) || ' ' || r.full, 'pg_class:' || r.oid || ':0', NULL, NULL, quote_ident(pg_get_userbyid(r.relowner)),
    concat('CREATE ', upper(r.kind), ' ', r.full, (SELECT ' USING ' || quote_ident(amname) FROM pg_am WHERE pg_am.oid = r.relam AND amname <> 'heap'),
        (SELECT ' WITH (' || string_agg(o, ', ' ORDER BY o COLLATE \"C\") || ')' FROM unnest(r.reloptions) o),
        (SELECT ' TABLESPACE ' || quote_ident(spcname) FROM pg_tablespace s WHERE s.oid = r.reltablespace)),
    E' AS\\n' || rtrim(pg_get_viewdef(r.oid), ';'), NULL, NULL
FROM rel r WHERE r.relkind IN ('v', 'm')";

const POPULATIONS: &str = "
SELECT 'population', r.name, NULL, NULL, 'pg_class:' || r.oid || ':0', NULL, NULL, NULL, 'REFRESH MATERIALIZED VIEW ' || r.full, NULL, NULL
FROM rel r WHERE r.relkind = 'm' AND r.relispopulated";

const RULES: &str = "
SELECT 'rule', r.name || '.' || quote_ident(w.rulename), 'RULE ' || quote_ident(w.rulename) || ' ON ' || r.full,
    'pg_rewrite:' || w.oid || ':0', 'pg_class:' || r.oid || ':0', NULL, NULL, NULL, rtrim(pg_get_ruledef(w.oid), ';'),
    CASE w.ev_enabled WHEN 'O' THEN NULL ELSE E';\\nALTER TABLE ' || r.full
        || CASE w.ev_enabled WHEN 'D' THEN ' DISABLE' WHEN 'R' THEN ' ENABLE REPLICA' ELSE ' ENABLE ALWAYS' END
        || ' RULE ' || quote_ident(w.rulename) END, NULL
FROM rel r JOIN pg_rewrite w ON w.ev_class = r.oid WHERE w.rulename <> '_RETURN'";

/// What a partition has from the table that it is a part of is told there, unless it is switched otherwise.
const TRIGGERS: &str = "
SELECT 'trigger', r.name || '.' || quote_ident(t.tgname), 'TRIGGER ' || quote_ident(t.tgname) || ' ON ' || r.full,
    'pg_trigger:' || t.oid || ':0', 'pg_class:' || r.oid || ':0', CASE WHEN t.tgparentid <> 0 THEN 'pg_trigger:' || t.tgparentid || ':0' END,
    NULL, NULL, pg_get_triggerdef(t.oid),
    CASE t.tgenabled WHEN 'O' THEN NULL ELSE E';\\nALTER TABLE ' || r.full
        || CASE t.tgenabled WHEN 'D' THEN ' DISABLE' WHEN 'R' THEN ' ENABLE REPLICA' ELSE ' ENABLE ALWAYS' END
        || ' TRIGGER ' || quote_ident(t.tgname) END, NULL
FROM rel r JOIN pg_trigger t ON t.tgrelid = r.oid LEFT JOIN pg_trigger tp ON tp.oid = nullif(t.tgparentid, 0)
WHERE NOT t.tgisinternal AND (tp.oid IS NULL OR tp.tgenabled <> t.tgenabled)";

const STATISTICS: &str = "
SELECT 'statistics', ns.p || quote_ident(s.stxname), 'STATISTICS ' || ns.q || quote_ident(s.stxname), 'pg_statistic_ext:' || s.oid || ':0',
    'pg_class:' || s.stxrelid || ':0', NULL, quote_ident(pg_get_userbyid(s.stxowner)), NULL, pg_get_statisticsobjdef(s.oid),
    CASE WHEN coalesce(s.stxstattarget, -1) <> -1
        THEN E';\\nALTER STATISTICS ' || ns.q || quote_ident(s.stxname) || ' SET STATISTICS ' || s.stxstattarget END, NULL
FROM pg_statistic_ext s JOIN ns ON ns.oid = s.stxnamespace
WHERE s.stxrelid NOT IN (SELECT oid FROM own) AND s.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_statistic_ext'::regclass)";

//! Every type that PostgreSQL has gets through a component unharmed.

use lockgate_tests::{Scenario, components};

/// Columns by type, and two rows beside the empty one: the usual, and the edges.
const COLUMNS: [(&str, &str, &str); 49] = [
    ("bool", "true", "false"),
    ("int2", "-32768", "32767"),
    ("int4", "-2147483648", "2147483647"),
    ("int8", "-9223372036854775808", "9223372036854775807"),
    ("float4", "'NaN'", "'-Infinity'"),
    ("float8", "'1.7976931348623157e308'", "'-0'"),
    ("numeric", "'-12.500'", "'NaN'"),
    ("numeric(200, 100)", "repeat('9', 100)::numeric", "('0.' || repeat('0', 99) || '1')::numeric"),
    ("text", "'Grüße, 世界 \u{1F600}'", "''"),
    ("varchar(10)", "'x y'", "'''\"\\'"),
    ("char(5)", "'ab'", "''"),
    ("name", "'pg_class'", "''"),
    ("\"char\"", "'a'", "'z'"),
    ("bytea", "'\\x00ff10'", "''"),
    ("json", "'{\"b\" : 1, \"a\": [null, \"ü\"]}'", "'null'"),
    ("jsonb", "'{\"b\" : 1, \"a\": 1.50}'", "'\"\"'"),
    ("uuid", "'00112233-4455-6677-8899-aabbccddeeff'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"),
    ("date", "'infinity'", "'4713-01-01 BC'"),
    ("time", "'00:00:00.000001'", "'24:00:00'"),
    ("timestamp", "'-infinity'", "'294276-12-31 23:59:59.999999'"),
    ("timestamptz", "'2026-01-01 12:34:56.789+05:30'", "'4713-01-01 00:00:00 BC'"),
    ("interval", "'-178000000 years'", "'1 month -2 days 03:04:05.000006'"),
    ("mood", "'ok'", "'not so good'"),
    ("bool[]", "'{t,NULL,f}'", "'{}'"),
    ("int2[]", "'{1,NULL}'", "'{}'"),
    ("int4[]", "'{1,NULL}'", "'{{1,2},{3,4}}'"),
    ("int8[]", "'{1,NULL}'", "'[0:1]={1,2}'"),
    ("float4[]", "'{1.5,NULL,NaN}'", "'{}'"),
    ("float8[]", "'{1.5,NULL,-0}'", "'{}'"),
    ("numeric[]", "'{1.50,NULL,NaN}'", "'{}'"),
    ("text[]", "'{a,NULL,\"\",\"NULL\",\"b,c\"}'", "'{}'"),
    ("bytea[]", "ARRAY['\\x00'::bytea, NULL]", "'{}'"),
    ("jsonb[]", "ARRAY['{\"a\": 1}'::jsonb, NULL]", "'{}'"),
    ("uuid[]", "ARRAY[NULL, '00112233-4455-6677-8899-aabbccddeeff'::uuid]", "'{}'"),
    ("date[]", "'{2026-01-01,NULL,infinity}'", "'{}'"),
    ("timestamp[]", "'{2026-01-01,NULL,-infinity}'", "'{}'"),
    ("timestamptz[]", "'{2026-01-01,NULL,infinity}'", "'{}'"),
    ("time[]", "'{00:00,NULL,24:00:00}'", "'{}'"),
    ("interval[]", "ARRAY['1 month -2 days 03:04:05.000006'::interval, NULL, '-178000000 years']", "'{}'"),
    ("mood[]", "'{ok,NULL,\"not so good\"}'", "'{}'"),
    ("inet", "'192.0.2.1/24'", "'2001:db8::1'"),
    ("macaddr", "'08:00:2b:01:02:03'", "'ff:ff:ff:ff:ff:ff'"),
    ("timetz", "'12:34:56.7+05:30'", "'24:00:00-12'"),
    ("point", "'(1.5,-2)'", "'(0,0)'"),
    ("bit(5)", "B'10101'", "B'00000'"),
    ("int4range", "'[1,5)'", "'empty'"),
    ("money", "'12.5'", "'-1'"),
    ("tsvector", "'a:1 b:2'", "''"),
    ("pair", "ROW(1, 'x, y')::pair", "ROW(NULL, NULL)::pair"),
];

#[tokio::test]
async fn a_component_reads_every_type_and_writes_it_back_unchanged() {
    let list = |part: fn(usize, &(&str, &str, &str)) -> String| {
        COLUMNS.iter().enumerate().map(|(i, column)| part(i, column)).collect::<Vec<_>>().join(", ")
    };
    let columns = list(|i, (ty, ..)| format!("c{i} {ty}"));
    let usual = list(|i, (_, usual, _)| format!("({usual}) AS c{i}"));
    let edge = list(|i, (.., edge)| format!("({edge}) AS c{i}"));
    let scenario = Scenario::new("values")
        .await
        .migration(
            "001_tables",
            &format!(
                "CREATE TYPE mood AS ENUM ('ok', 'not so good');
                 CREATE TYPE pair AS (number int, word text);
                 CREATE TABLE values_in ({columns});
                 CREATE TABLE values_out (LIKE values_in);
                 INSERT INTO values_in DEFAULT VALUES;
                 INSERT INTO values_in SELECT {usual};
                 INSERT INTO values_in SELECT {edge};"
            ),
            "DROP TABLE values_in, values_out; DROP TYPE mood, pair;",
        )
        .component("002_values", &components::values())
        .await;
    scenario.up().await.succeeds().prints("applied 002_values");
    for (i, (ty, ..)) in COLUMNS.iter().enumerate() {
        let read = |table: &str| format!("SELECT coalesce(c{i}::text, 'NULL') FROM {table} ORDER BY 1");
        assert_eq!(scenario.lines(&read("values_out")).await, scenario.lines(&read("values_in")).await, "{ty}");
    }
    assert_eq!(scenario.value("SELECT count(*) FROM values_out").await, "3");
    scenario.down("002").await.succeeds();
    assert_eq!(scenario.value("SELECT count(*) FROM values_out").await, "0");
}

// What pgmend makes in a PostgreSQL database to keep its state.
#pragma once

namespace pgmend::store {

/// Version 1. In one transaction, behind an advisory lock. Other roles see the rows of the databases that pgmend.readers gives them.
inline constexpr auto postgres_definition = R"(
CREATE SCHEMA IF NOT EXISTS pgmend;
CREATE TABLE pgmend.state_version (version int NOT NULL);
INSERT INTO pgmend.state_version VALUES (1);
CREATE TABLE pgmend.readers (role name NOT NULL, database text NOT NULL, PRIMARY KEY (role, database));
COMMENT ON TABLE pgmend.readers IS 'which role sees the rows of which database; * is every database';
CREATE FUNCTION pgmend.may_see(who name, its_database text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'SELECT EXISTS (SELECT FROM pgmend.readers AS r JOIN pg_catalog.pg_roles AS p ON p.rolname = r.role
        WHERE r.database IN (its_database, ''*'') AND pg_catalog.pg_has_role(who, p.oid, ''MEMBER''))';
CREATE TABLE pgmend.patterns (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, database text NOT NULL, pattern text NOT NULL, evidence text NOT NULL,
    state text NOT NULL, rejected boolean NOT NULL, note text NOT NULL, reason text NOT NULL, successes bigint NOT NULL, failures bigint NOT NULL,
    first_seen timestamptz NOT NULL, last_used timestamptz NOT NULL, UNIQUE (database, pattern));
CREATE TABLE pgmend.pattern_outcomes (database text NOT NULL, pattern text NOT NULL, day date NOT NULL, successes bigint NOT NULL, failures bigint NOT NULL,
    PRIMARY KEY (database, pattern, day));
CREATE TABLE pgmend.drift (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, database text NOT NULL, user_name text NOT NULL, application_name text NOT NULL,
    fingerprint text NOT NULL, pattern text NOT NULL, outcome text NOT NULL, evidence text NOT NULL, before_sql text NOT NULL, after_sql text NOT NULL,
    reason text NOT NULL, count bigint NOT NULL, first_seen timestamptz NOT NULL, last_seen timestamptz NOT NULL);
CREATE UNIQUE INDEX drift_key ON pgmend.drift (database, user_name, application_name, fingerprint, md5(pattern), outcome);
CREATE INDEX drift_last_seen ON pgmend.drift (last_seen);
CREATE TABLE pgmend.heal_audit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL, database text NOT NULL, user_name text NOT NULL,
    application_name text NOT NULL, client text NOT NULL, fingerprint text NOT NULL, pattern text NOT NULL, before_sql text NOT NULL,
    parameters text NOT NULL, after_sql text NOT NULL);
CREATE TABLE pgmend.heal_audit_values (audit bigint NOT NULL REFERENCES pgmend.heal_audit, number int NOT NULL, database text NOT NULL,
    column_name text NOT NULL, row bigint NOT NULL, expression text NOT NULL, value text, PRIMARY KEY (audit, number));
CREATE TABLE pgmend.transaction_logs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL, database text NOT NULL,
    user_name text NOT NULL, application_name text NOT NULL, client text NOT NULL, fingerprint text NOT NULL, pattern text NOT NULL, evidence text NOT NULL,
    sqlstate text NOT NULL, before_sql text NOT NULL, after_sql text NOT NULL, success boolean NOT NULL, duration_us bigint NOT NULL, tier int NOT NULL);
CREATE TABLE pgmend.circuit_breaker_state (name text PRIMARY KEY, value text NOT NULL, at timestamptz NOT NULL);
CREATE TABLE pgmend.optimizer_decisions (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, value text NOT NULL, at timestamptz NOT NULL);
CREATE TABLE pgmend.dead_letters (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL, database text NOT NULL, user_name text NOT NULL,
    application_name text NOT NULL, rule text NOT NULL, search_path text NOT NULL, statement text NOT NULL, parameters text NOT NULL, sqlstate text NOT NULL,
    message text NOT NULL, state text NOT NULL);
DO $do$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['patterns', 'pattern_outcomes', 'drift', 'heal_audit', 'heal_audit_values', 'transaction_logs', 'dead_letters'] LOOP
        EXECUTE format('ALTER TABLE pgmend.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY by_database ON pgmend.%I USING (pgmend.may_see(current_user, database))', t);
    END LOOP;
END
$do$;
)";

/// Version 2: schemas. `delta` is what differs from the row before of the same database, in a format of pgmend's own; `lineage` tells people
/// what became of which name.
inline constexpr auto postgres_definition_2 = R"(
CREATE TABLE pgmend.databases (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, system_identifier text NOT NULL, database_oid bigint NOT NULL,
    database text NOT NULL, UNIQUE (system_identifier, database_oid));
CREATE TABLE pgmend.schema_versions (database_id bigint NOT NULL REFERENCES pgmend.databases, number bigint NOT NULL, database text NOT NULL,
    at timestamptz NOT NULL, fingerprint text NOT NULL, severity text NOT NULL, changes text NOT NULL, cause text NOT NULL, who text NOT NULL,
    checksum bigint NOT NULL, delta bytea NOT NULL, PRIMARY KEY (database_id, number));
CREATE TABLE pgmend.damaged_schema_versions AS SELECT * FROM pgmend.schema_versions WHERE false;
CREATE TABLE pgmend.lineage (database_id bigint NOT NULL REFERENCES pgmend.databases, number bigint NOT NULL, position int NOT NULL, database text NOT NULL,
    at timestamptz NOT NULL, object text NOT NULL, change text NOT NULL, name text NOT NULL, before text NOT NULL, after text NOT NULL,
    PRIMARY KEY (database_id, number, position));
CREATE TABLE pgmend.learned_rules (database text PRIMARY KEY, rules text NOT NULL, at timestamptz NOT NULL);
DO $do$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['databases', 'schema_versions', 'damaged_schema_versions', 'lineage', 'learned_rules'] LOOP
        EXECUTE format('ALTER TABLE pgmend.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY by_database ON pgmend.%I USING (pgmend.may_see(current_user, database))', t);
    END LOOP;
END
$do$;
UPDATE pgmend.state_version SET version = 2;
)";

} // namespace pgmend::store

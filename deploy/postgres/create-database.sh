#!/usr/bin/env bash
# The image of PostgreSQL runs this once, with an empty volume: the role of the servers, and the database that it owns.
set -euo pipefail
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\set password `cat "$FACET_PASSWORD_FILE"`
CREATE ROLE facet_server LOGIN PASSWORD :'password';
CREATE DATABASE facet OWNER facet_server ENCODING 'UTF8' TEMPLATE template0;
SQL

-- The role and the database, by a superuser, once:  psql -v password=… -f deploy/postgresql/create.sql
-- The role owns its database and nothing else; it needs no other right, as migrations are run by it too.
CREATE ROLE avra LOGIN PASSWORD :'password' NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 100;
CREATE DATABASE avra OWNER avra TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8';
REVOKE ALL ON DATABASE avra FROM PUBLIC;
-- Connections of a host that vanished are noticed after a minute and a half rather than after two hours.
ALTER ROLE avra IN DATABASE avra SET tcp_keepalives_idle = 60;
ALTER ROLE avra IN DATABASE avra SET tcp_keepalives_interval = 10;
ALTER ROLE avra IN DATABASE avra SET tcp_keepalives_count = 3;
\connect avra
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO avra;
